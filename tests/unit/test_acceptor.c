/* Accepting, and not being able to: acceptor.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "worker/acceptor.h"

static void on_accepted(struct lp_acceptor *acceptor, int fd, const union lp_peer *peer)
{
	unsigned *accepted = acceptor->owner;
	(void)peer;
	(*accepted)++;
	close(fd);
}

static void on_closed(struct lp_acceptor *acceptor)
{
	acceptor->owner = NULL;
}

/* Ends the acceptor, and the loop, which has nothing else. */
static void finish(struct lp_acceptor *acceptor, uv_loop_t *loop)
{
	lp_acceptor_close(acceptor, on_closed);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_null(acceptor->owner);
	assert_int_equal(uv_loop_close(loop), 0);
}

static void start(struct lp_acceptor *acceptor, uv_loop_t *loop, struct lp_log *log, int fd, unsigned *accepted)
{
	uv_loop_init(loop);
	lp_log_init(log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	assert_int_equal(lp_acceptor_start(acceptor, loop, log, "here", fd, on_accepted, accepted), 0);
}

static int listen_anywhere(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, 256), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
	return fd;
}

static void what_is_in_the_backlog_is_accepted_before_the_end(void **state)
{
	enum { CLIENTS = 150 };
	struct lp_acceptor acceptor;
	uv_loop_t loop;
	struct lp_log log;
	unsigned accepted = 0;
	struct sockaddr_in address;
	int clients[CLIENTS];
	(void)state;
	start(&acceptor, &loop, &log, listen_anywhere(&address), &accepted);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&address, sizeof(address)), 0);
	}
	lp_acceptor_stop(&acceptor);
	assert_int_equal(accepted, CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	finish(&acceptor, &loop);
}

struct crowd {
	struct sockaddr_in address;
	unsigned accepted;
	int clients[64];
	unsigned come;
};

static void come(struct crowd *crowd)
{
	if (crowd->come == sizeof(crowd->clients) / sizeof(crowd->clients[0]))
		fail_msg("accepting does not end");
	int fd = crowd->clients[crowd->come++] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&crowd->address, sizeof(crowd->address)), 0);
}

/* For each that is accepted another one comes. */
static void on_accepted_of_crowd(struct lp_acceptor *acceptor, int fd, const union lp_peer *peer)
{
	struct crowd *crowd = acceptor->owner;
	(void)peer;
	crowd->accepted++;
	close(fd);
	come(crowd);
}

static void clients_that_keep_coming_do_not_hold_up_the_end(void **state)
{
	struct crowd crowd = {0};
	struct lp_acceptor acceptor;
	uv_loop_t loop;
	struct lp_log log;
	(void)state;
	start(&acceptor, &loop, &log, listen_anywhere(&crowd.address), &crowd.accepted);
	acceptor.owner = &crowd;
	acceptor.accepted = on_accepted_of_crowd;
	for (int i = 0; i < 5; i++)
		come(&crowd);
	lp_acceptor_stop(&acceptor);
	assert_int_equal(crowd.accepted, 5);
	for (unsigned i = 0; i < crowd.come; i++)
		close(crowd.clients[i]);
	finish(&acceptor, &loop);
}

static void who_takes_too_long_leaves_the_others_to_the_next_turn(void **state)
{
	enum { CLIENTS = 5 };
	struct lp_acceptor acceptor;
	uv_loop_t loop;
	struct lp_log log;
	unsigned accepted = 0;
	struct sockaddr_in address;
	int clients[CLIENTS];
	(void)state;
	start(&acceptor, &loop, &log, listen_anywhere(&address), &accepted);
	acceptor.turn_ns = 1;
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&address, sizeof(address)), 0);
	}
	for (unsigned turn = 1; turn <= CLIENTS; turn++) {
		uv_run(&loop, UV_RUN_ONCE);
		assert_int_equal(accepted, turn);
	}
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	finish(&acceptor, &loop);
}

/* A socket that does not listen: it is ready all the time, and accept says EINVAL all the time. */
static void an_accept_that_always_fails_is_paused_for_and_ends(void **state)
{
	struct lp_acceptor acceptor;
	uv_loop_t loop;
	struct lp_log log;
	unsigned accepted = 0;
	(void)state;
	start(&acceptor, &loop, &log, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), &accepted);
	uv_run(&loop, UV_RUN_ONCE);
	assert_true(uv_is_active((uv_handle_t *)&acceptor.resume));
	assert_false(uv_is_active((uv_handle_t *)&acceptor.poll));
	uv_run(&loop, UV_RUN_ONCE); /* The pause is over. */
	assert_true(uv_is_active((uv_handle_t *)&acceptor.poll));
	finish(&acceptor, &loop);
	assert_int_equal(accepted, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_the_backlog_is_accepted_before_the_end),
		cmocka_unit_test(clients_that_keep_coming_do_not_hold_up_the_end),
		cmocka_unit_test(who_takes_too_long_leaves_the_others_to_the_next_turn),
		cmocka_unit_test(an_accept_that_always_fails_is_paused_for_and_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
