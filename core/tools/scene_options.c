/*
 * From a command line to a scene.
 */
#include "tools/scene_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/survey.h"

static int bind_session(struct lp_scene *scene, const char *session, struct lp_error *error)
{
	const char *equals = strrchr(session, '=');
	struct lp_slice sid = {session, (size_t)(equals - session)};
	int status = lp_sessions_bind(scene->host.sessions, sid, (unsigned)strtoul(equals + 1, NULL, 10));

	return status ? lp_error_set(error, status, "--session: \"%s\" has too long a session; %d bytes are the most",
				     session, LP_SESSION_KEY_MAX)
		      : 0;
}

int lp_scene_options_apply(struct lp_scene *scene, const struct lp_command_line *line, unsigned workers,
			   struct lp_error *error)
{
	int status = lp_scene_reset(scene, workers);

	if (status < 0)
		return lp_error_set(error, status, "no memory for workers");
	scene->host.settings = line->options.settings;
	scene->host.setting_count = line->options.setting_count;
	for (size_t i = 0; i < line->options.trusted_count && status == 0; i++)
		status = lp_scene_trust(scene, line->options.trusted[i], error);
	lp_forwarded_header_find(line->options.forwarded_header, &scene->host.trust.header);
	for (size_t i = 0; i < line->options.session_count && status == 0; i++)
		status = lp_scene_add_session_rule(scene, line->options.sessions[i], error);
	for (size_t i = 0; i < line->tool.known_count && status == 0; i++)
		status = bind_session(scene, line->tool.known[i], error);
	return status;
}

static int check_settings_in(struct lp_scene *scene, const char *const *files, size_t count, struct lp_error *error)
{
	struct lp_policy **policies = calloc(count, sizeof(struct lp_policy *));
	size_t loaded = 0;
	int status = 0;

	if (!policies)
		return lp_error_set(error, -ENOMEM, "no memory for %zu policies", count);
	while (loaded < count && lp_policy_load(&policies[loaded], &scene->host, &files[loaded], 1, NULL) == 0)
		loaded++;
	if (loaded == count)
		status = lp_policies_check_settings((const struct lp_policy *const *)policies, count, error);
	for (size_t i = 0; i < loaded; i++)
		lp_policy_free(policies[i]);
	free(policies);
	return status;
}

int lp_scene_options_check_settings(const char *const *files, size_t count, const char *const *settings,
				    size_t setting_count, struct lp_error *error)
{
	struct lp_scene scene;
	int status;

	if (!count || !setting_count)
		return 0;
	status = lp_scene_init(&scene);
	scene.host.settings = settings;
	scene.host.setting_count = setting_count;
	if (status < 0)
		lp_error_set(error, status, "no memory for workers");
	else
		status = check_settings_in(&scene, files, count, error);
	lp_scene_deinit(&scene);
	return status;
}
