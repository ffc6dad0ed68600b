/*
 * Servers of workers whose connections come through the preloaded library: what queryServer is answered.
 */
#include "channel_fixture.h"

#include <netinet/in.h>
#include <stdio.h>

#include "worker/node.h"

static const char online[] = "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}\n";

static void ask(struct fixture *fixture, const char *address, int port, int type, int index)
{
	char text[256];
	snprintf(text, sizeof(text),
		 "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":%d,\"data\":null,\"address\":%s,\"port\":"
		 "%d,"
		 "\"addressType\":%d,\"seq\":1}\n",
		 index, address, port, type);
	say(fixture, text);
}

static void at_limpets_port_it_gets_a_placeholder_that_says_the_same_address(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_node);
	char text[1024];
	(void)state;
	ask(fixture, "\"127.0.0.9\"", 3999, 4, 0);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "\"type\":\"net.Native\""));
	assert_non_null(strstr(text, "\"errno\":0"));
	const struct sockaddr_in *four = (const struct sockaddr_in *)&fixture->listener;
	assert_int_equal(four->sin_family, AF_INET);
	assert_int_equal(ntohl(four->sin_addr.s_addr), 0x7f000009);
	assert_int_equal(fixture->which, 1);
	ask(fixture, "\"::1\"", 8080, 6, 0);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_int_equal(fixture->listener.ss_family, AF_INET6);
	assert_int_equal(fixture->which, 0);
	close_fixture(fixture);
}

static void twice_at_the_same_address_is_once_too_often(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_node);
	char text[1024];
	char wanted[32];
	(void)state;
	ask(fixture, "null", 3999, 4, 1);
	assert_false(receive(fixture, text, sizeof(text)));
	snprintf(wanted, sizeof(wanted), "\"errno\":%d", UV_EADDRINUSE);
	assert_non_null(strstr(text, wanted));
	close_fixture(fixture);
}

static void elsewhere_it_gets_a_shared_socket_and_lets_go_of_it(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_node);
	char text[1024];
	(void)state;
	ask(fixture, "\"127.0.0.1\"", 9100, 4, 0);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_int_equal(fixture->asked.kind, LP_SOCKET_TCP);
	assert_int_equal(fixture->asked.port, 9100);
	assert_string_equal(fixture->asked.host, "127.0.0.1");
	ask(fixture, "\"/run/tool\"", -1, -1, 0);
	receive(fixture, text, sizeof(text));
	assert_int_equal(fixture->asked.kind, LP_SOCKET_PATH);
	assert_string_equal(fixture->asked.host, "/run/tool");
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"limpet:0\",\"seq\":3}\n");
	assert_int_equal(fixture->dropped[true], 1);
	ask(fixture, "\"127.0.0.1\"", 9100, 4, 0);
	assert_true(receive(fixture, text, sizeof(text)));
	lp_channel_close(&fixture->channel, NULL);
	fixture->open = false;
	assert_int_equal(fixture->dropped[false], 1);
	close_fixture(fixture);
}

static void what_cannot_be_bound_is_answered(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_node);
	char text[1024];
	char wanted[32];
	(void)state;
	ask(fixture, "null", 0, 4, 0);
	assert_false(receive(fixture, text, sizeof(text)));
	snprintf(wanted, sizeof(wanted), "\"errno\":%d", UV_EADDRINUSE);
	assert_non_null(strstr(text, wanted));
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":null,"
		     "\"port\":null,\"addressType\":null,\"fd\":3,\"seq\":1}\n");
	assert_false(receive(fixture, text, sizeof(text)));
	snprintf(wanted, sizeof(wanted), "\"errno\":%d", UV_EBADF);
	assert_non_null(strstr(text, wanted));
	close_fixture(fixture);
}

static void listening_does_not_make_it_ready_or_less(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_node);
	char text[1024];
	(void)state;
	assert_false(fixture->ready);
	say(fixture, online);
	assert_true(fixture->ready);
	ask(fixture, "null", 3999, 4, 0);
	receive(fixture, text, sizeof(text));
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"limpet:0\",\"seq\":3}\n");
	assert_true(fixture->ready);
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"exitedAfterDisconnect\",\"seq\":4}\n");
	assert_false(fixture->ready);
	close_fixture(fixture);
}

static void a_sticky_packages_other_messages_are_understood(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_node);
	(void)state;
	say(fixture, online);
	say(fixture, "{\"type\":\"close\"}\n"); /* Of any program. */
	say(fixture,
	    "{\"cmd\":\"NODE_LIMPET\",\"type\":\"nothing\"}\n{\"cmd\":\"NODE_LIMPET\",\"type\":\"cluster\"}\n");
	say(fixture, "{\"type\":\"close\"}\n");
	assert_true(fixture->ready);
	say(fixture, "{\"cmd\":\"NODE_LIMPET\",\"type\":\"sticky-session\"}\n");
	say(fixture, "{\"type\":\"close\"}\n"); /* As sticky-session says it. */
	assert_false(fixture->ready);
	close_fixture(fixture);
}

static void in_other_dialects_that_word_means_nothing(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_socketio_sticky);
	(void)state;
	say(fixture, online);
	say(fixture, "{\"cmd\":\"NODE_LIMPET\",\"type\":\"sticky-session\"}\n{\"type\":\"close\"}\n");
	assert_true(fixture->ready);
	close_fixture(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_limpets_port_it_gets_a_placeholder_that_says_the_same_address),
		cmocka_unit_test(twice_at_the_same_address_is_once_too_often),
		cmocka_unit_test(elsewhere_it_gets_a_shared_socket_and_lets_go_of_it),
		cmocka_unit_test(what_cannot_be_bound_is_answered),
		cmocka_unit_test(listening_does_not_make_it_ready_or_less),
		cmocka_unit_test(a_sticky_packages_other_messages_are_understood),
		cmocka_unit_test(in_other_dialects_that_word_means_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
