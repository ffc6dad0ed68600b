/**
 * The balancer's own memory: for balancer.c, which has its life, and control_requests.c, which answers for it.
 */
#ifndef LP_SERVER_BALANCER_H
#define LP_SERVER_BALANCER_H

#include "admin/admin_http.h"
#include "admin/control.h"
#include "admin/status.h"
#include "base/control_path.h"
#include "base/sha256.h"
#include "keeper/lasting.h"
#include "limpet/balancer.h"
#include "server/balancer_private.h"
#include "server/listener.h"
#include "server/waiting.h"
#include "worker/supervisor.h"

/** balancer.c has the table. */
enum lp_balancer_state {
	LP_BALANCER_NEW,
	LP_BALANCER_RUNNING,
	LP_BALANCER_DRAINING,
	LP_BALANCER_STOPPING,
	LP_BALANCER_CLOSING,
	LP_BALANCER_CLOSED
};

struct limpet_balancer {
	uv_loop_t *loop;
	enum lp_balancer_state state;
	struct lp_lasting *lasting; /* What outlives us; NULL: nothing does. */
	unsigned closing;           /* Parts that have yet to say that they are closed. */
	struct lp_data data;
	struct lp_supervisor *supervisor;
	struct lp_region region; /**< Has the records of connections. */
	struct lp_connections connections;
	struct lp_waiting waiting;
	struct lp_listener *listeners;
	size_t listener_count; /* Open ones. */
	char *addresses;       /* Their ports and paths, as workers mean them. */
	struct lp_control *control;
	struct lp_admin *admin;
	uv_timer_t drain;    /* Ends DRAINING. */
	uint64_t stop_by_ms; /* On the loop's clock. */
	uint64_t reloads;
	uint64_t failed_reloads;
	struct lp_refused_reload refused; /* The last one. */
	time_t started;
	uint64_t rollbacks;
	uint64_t bounced;
	limpet_stopped_cb stopped;
	void *owner;
	limpet_hopeless_cb hopeless; /* NULL: nobody asks. */
	void *hopeless_owner;
	limpet_ready_cb ready; /* NULL once it ran. */
	void *ready_owner;
	limpet_stopped_cb may_stop; /* For the control socket; NULL: it may not. */
	void *may_stop_owner;
	char name[LP_CONTROL_NAME_MAX + 1];
	uint8_t config[LP_SHA256_BYTES]; /* Of the configuration file, when we started. */
	bool waiting_open;
	bool drain_open;
	bool reload_refused; /* The last reload was. */
};

/** How much lasting memory a balancer may need. @param options Parsed. @return Bytes; few of them are ever touched. */
size_t lp_balancer_lasting_bytes(const struct limpet_options *options);

/** What outlives the balancer, and what it has from one before it. @param balancer Not started. @param lasting Borrowed; or NULL. */
void lp_balancer_inherit(struct limpet_balancer *balancer, struct lp_lasting *lasting);

/** Answer a request of the control socket: lp_control_answer_cb, whose owner is the balancer. @param owner A balancer.
 * @param request A line. @param answer Set for free(). @param length Its bytes. @return 0, -ENOENT or -ENOMEM. */
int lp_balancer_answer(void *owner, const char *request, char **answer, size_t *length);

#define LP_BALANCER_PAGES 9

/** The pages of the admin listener; their owner is the balancer. */
extern const struct lp_admin_page lp_balancer_pages[LP_BALANCER_PAGES];

#endif
