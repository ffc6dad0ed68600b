/*
 * Two scenes, one for each policy, so that what one of them binds, counts or turns on the other does not see.
 */
#include "tools/replay.h"

#include <errno.h>

#include "policy/scene.h"
#include "policy/survey.h"
#include "route/recording.h"
#include "tools/scene_options.h"

#define SID_SIZE 1024

/* A policy, and where it is asked. */
struct side {
	struct lp_scene scene;
	struct lp_policy *policy;
};

struct replay {
	struct side sides[2];
	unsigned asked;
	unsigned moved;
};

static int init_side(struct side *side, const struct lp_command_line *line, const char *const *file, unsigned workers,
		     struct lp_error *error)
{
	int status = lp_scene_init(&side->scene);

	if (status < 0)
		return lp_error_set(error, status, "no memory for workers");
	status = lp_scene_options_apply(&side->scene, line, workers, error);
	return status < 0 ? status : lp_policy_load(&side->policy, &side->scene.host, file, 1, error);
}

/* One of the two has to read each setting. */
static int check_settings(const struct replay *replay, struct lp_error *error)
{
	const struct lp_policy *policies[] = {replay->sides[0].policy, replay->sides[1].policy};

	return lp_policies_check_settings(policies, 2, error);
}

static void deinit_side(struct side *side)
{
	lp_policy_free(side->policy);
	lp_scene_deinit(&side->scene);
}

/* A request with a sid was sent to whoever had that session. */
static void learn_session(struct side *side, const struct lp_policy_conn *conn, unsigned worker)
{
	char sid[SID_SIZE];
	int length = conn->head ? lp_head_query(conn->head, LP_SLICE("sid"), sid, sizeof(sid)) : -1;

	if (length > 0 && worker)
		lp_sessions_bind(side->scene.host.sessions, (struct lp_slice){sid, (size_t)length}, worker);
}

static int ask_policies(struct side *side, const struct lp_recorded *recorded, struct lp_policy_conn *conn,
			struct lp_verdict *verdict, struct lp_error *error)
{
	char ip[LP_IP_TEXT_SIZE];
	struct lp_scene_conn what = {
		.ip = lp_ip_format(&recorded->ip, ip) ? ip : "unix",
		.port = recorded->port,
		.listener = recorded->listener,
		.raw = {recorded->head, recorded->length},
	};
	lp_policy_cursor cursor = 0;
	int status = lp_scene_connect(&side->scene, &what, conn, error);

	if (status < 0)
		return status;
	learn_session(side, conn, recorded->worker);
	*verdict = lp_policy_decide(side->policy, conn, &cursor);
	return 0;
}

static void print_verdict(FILE *out, struct lp_verdict verdict)
{
	if (verdict.kind == LP_VERDICT_WORKER)
		fprintf(out, "worker %u", verdict.worker);
	else if (verdict.kind == LP_VERDICT_REFUSE)
		fprintf(out, "refused with %d", verdict.status);
	else
		fprintf(out, "the least busy");
}

static void print_move(FILE *out, const struct lp_policy_conn *conn, const struct lp_verdict *verdicts)
{
	char ip[LP_IP_TEXT_SIZE];

	fprintf(out, "%s ", lp_ip_format(&conn->ip, ip) ? ip : "unix");
	if (conn->head)
		fprintf(out, "%.*s %.*s", LP_SLICE_ARG(conn->head->method), LP_SLICE_ARG(conn->head->path));
	else
		fprintf(out, "%s", conn->hello ? "TLS" : "unread");
	fprintf(out, ": ");
	print_verdict(out, verdicts[0]);
	fprintf(out, " -> ");
	print_verdict(out, verdicts[1]);
	fprintf(out, "\n");
}

static int ask_both(struct replay *replay, const struct lp_recorded *recorded, FILE *out, struct lp_error *error)
{
	struct lp_policy_conn conn;
	struct lp_verdict verdicts[2];

	for (unsigned i = 0; i < 2; i++) {
		int status = ask_policies(&replay->sides[i], recorded, &conn, &verdicts[i], error);

		if (status < 0)
			return status;
	}
	replay->asked++;
	if (verdicts[0].kind == verdicts[1].kind && verdicts[0].worker == verdicts[1].worker &&
	    verdicts[0].status == verdicts[1].status)
		return 0;
	replay->moved++;
	print_move(out, &conn, verdicts);
	return 0;
}

/* The most workers of --workers and those that are named. */
static int count_workers(const char *path, unsigned *workers, struct lp_error *error)
{
	struct lp_recording recording;
	struct lp_recorded recorded;
	int status = lp_recording_open(&recording, path, error);

	if (status < 0)
		return status;
	while ((status = lp_recording_read(&recording, &recorded, error)) > 0)
		if (recorded.worker > *workers)
			*workers = recorded.worker;
	lp_recording_close(&recording);
	if (status == 0 && *workers > LP_SCENE_WORKERS_MAX)
		return lp_error_set(error, -EINVAL, "%s: there is no worker %u; %u are the most", path, *workers,
				    LP_SCENE_WORKERS_MAX);
	return status;
}

static int replay_all(struct replay *replay, const char *path, FILE *out, struct lp_error *error)
{
	struct lp_recording recording;
	struct lp_recorded recorded;
	int status = lp_recording_open(&recording, path, error);

	if (status < 0)
		return status;
	while ((status = lp_recording_read(&recording, &recorded, error)) > 0) {
		status = ask_both(replay, &recorded, out, error);
		if (status < 0)
			break;
	}
	lp_recording_close(&recording);
	if (status < 0)
		return status;
	fprintf(out, "%u of %u connections go elsewhere\n", replay->moved, replay->asked);
	return (int)(lp_policy_errors(replay->sides[0].policy) + lp_policy_errors(replay->sides[1].policy));
}

/* What policies logged, errors among it. */
static void print_log(struct side *side, FILE *out)
{
	char text[LP_SCENE_LINE_SIZE];

	while (lp_scene_next_line(&side->scene, text))
		fprintf(out, "%s\n", text);
}

int lp_replay(const struct lp_command_line *line, FILE *out, struct lp_error *error)
{
	unsigned workers = line->tool.workers;
	struct replay replay = {0};
	int status = count_workers(line->tool.replay, &workers, error);

	if (status < 0)
		return status;
	status = init_side(&replay.sides[0], line, &line->tool.files[0], workers, error);
	if (status == 0) {
		status = init_side(&replay.sides[1], line, &line->tool.files[1], workers, error);
		if (status == 0)
			status = check_settings(&replay, error);
		if (status == 0)
			status = replay_all(&replay, line->tool.replay, out, error);
		print_log(&replay.sides[1], out);
		deinit_side(&replay.sides[1]);
	}
	print_log(&replay.sides[0], out);
	deinit_side(&replay.sides[0]);
	return status;
}
