/**
 * A scene as a command line asks for it: what `limpet check` and `limpet route` share.
 */
#ifndef LP_TOOLS_SCENE_OPTIONS_H
#define LP_TOOLS_SCENE_OPTIONS_H

#include "base/error.h"
#include "base/options.h"
#include "policy/scene.h"

/**
 * Begin a scene anew, with the --set, --trust and --session of a command line.
 *
 * @param scene    Initialised. Borrows the command line's settings.
 * @param line     Parsed. Borrowed as long as the scene is used.
 * @param workers  0 – LP_SCENE_WORKERS_MAX.
 * @param error    Filled on failure.
 *
 * @return 0, -EINVAL or -ENOMEM.
 */
int lp_scene_options_apply(struct lp_scene *scene, const struct lp_command_line *line, unsigned workers,
			   struct lp_error *error);

/**
 * Refuse a setting that none of several policies reads, each loaded by itself. Those that do not load are passed over, and
 * then nothing is refused: they might have read it.
 *
 * @param files          As for lp_policy_load.
 * @param count          How many.
 * @param settings       "key=value" each.
 * @param setting_count  How many.
 * @param error          Filled on failure.
 *
 * @return 0, LP_EUSAGE, or negative: no memory.
 */
int lp_scene_options_check_settings(const char *const *files, size_t count, const char *const *settings,
				    size_t setting_count, struct lp_error *error);

#endif
