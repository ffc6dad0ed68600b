#include "channel_fixture.h"

#include <stdio.h>

#include "worker/node.h"

static const char online[] = "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}\n";

static const char query[] =
	"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":null,"
	"\"port\":3999,\"addressType\":4,\"backlog\":false,\"seq\":1}\n";

static void a_connection_goes_to_the_server_of_its_port(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	say(fixture, query);
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"address\":\"/run/x\",\"port\":-1,"
		     "\"addressType\":-1,\"seq\":2}\n");
	receive(fixture, text, sizeof(text));
	hand_over(fixture, 0, 3999);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "\"key\":\"limpet:3999:0\",\"seq\":1}"));
	hand_over(fixture, 1, 0);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "\"key\":\"limpet:-1:1\",\"seq\":2}"));
	hand_over(fixture, 2, 80);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "\"key\":\"limpet:3999:0\",\"seq\":3}"));
	close_fixture(fixture);
}

static void a_server_gets_no_connection_for_a_port_that_another_has_asked_for(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	lp_ports_claim(&fixture->ports, 8080); /* By another worker. */
	say(fixture, query);
	receive(fixture, text, sizeof(text));
	hand_over(fixture, 0, 8080);
	assert_false(receive(fixture, text, sizeof(text)));
	assert_int_equal(fixture->returned, 1);
	assert_int_equal(fixture->reason, LP_RETURN_NO_SERVER);
	hand_over(fixture, 1, 3999);
	assert_true(receive(fixture, text, sizeof(text)));
	lp_ports_release(&fixture->ports, 8080);
	hand_over(fixture, 2, 8080);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "\"key\":\"limpet:3999:0\""));
	close_fixture(fixture);
}

static void a_closed_servers_port_is_nobody_elses_and_it_may_listen_again(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	say(fixture, query);
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"address\":null,\"port\":8080,"
		     "\"addressType\":4,\"seq\":2}\n");
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"limpet:3999:0\",\"seq\":3}\n");
	assert_true(fixture->ready);
	receive(fixture, text, sizeof(text));
	hand_over(fixture, 0, 3999);
	assert_false(receive(fixture, text, sizeof(text)));
	assert_int_equal(fixture->returned, 1);
	for (unsigned i = 0; i < 2 * LP_NODE_SERVERS_MAX; i++) {
		say(fixture, query);
		receive(fixture, text, sizeof(text));
		assert_non_null(strstr(text, "\"errno\":null"));
		snprintf(text, sizeof(text),
			 "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"limpet:3999:%u\"}\n", 2 + i);
		say(fixture, text);
	}
	say(fixture, query);
	receive(fixture, text, sizeof(text));
	hand_over(fixture, 1, 3999);
	assert_true(receive(fixture, text, sizeof(text)));
	lp_channel_close(&fixture->channel, NULL);
	fixture->open = false;
	assert_false(lp_ports_claimed(&fixture->ports, 3999));
	assert_false(lp_ports_claimed(&fixture->ports, 8080));
	close_fixture(fixture);
}

static void in_dialects_by_message_a_server_gets_its_own_port_alone(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_socketio_sticky);
	char text[1024];
	(void)state;
	say(fixture, online);
	hand_over(fixture, 0, 3999); /* Before there is a server. */
	assert_true(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "sticky:connection"));
	say(fixture, query);
	receive(fixture, text, sizeof(text));
	hand_over(fixture, 1, 3999);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "\"act\":\"newconn\",\"key\":\"limpet:3999:0\",\"seq\":2"));
	hand_over(fixture, 2, 8080);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "sticky:connection"));
	say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
	assert_int_equal(fixture->accepted, 1);
	say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n"); /* The server has yet to accept. */
	assert_int_equal(fixture->accepted, 1);
	say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
	assert_int_equal(fixture->accepted, 2);
	say(fixture, "{\"ack\":2,\"accepted\":true,\"seq\":5,\"cmd\":\"NODE_CLUSTER\"}\n");
	assert_int_equal(fixture->accepted, 3);
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"limpet:3999:0\"}\n");
	assert_true(fixture->ready);
	hand_over(fixture, 3, 3999);
	assert_false(receive(fixture, text, sizeof(text)));
	assert_int_equal(fixture->reason, LP_RETURN_NO_SERVER);
	close_fixture(fixture);
}

static void a_server_without_a_port_is_told_limpets(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"address\":null,\"port\":0,"
		     "\"addressType\":4,\"seq\":1}\n");
	receive(fixture, text, sizeof(text));
	assert_non_null(strstr(text, "\"port\":8080"));
	close_fixture(fixture);
}

static void a_udp_socket_is_sent_and_its_arrival_is_no_connections(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	say(fixture, query);
	receive(fixture, text, sizeof(text));
	hand_over(fixture, 0, 3999);
	receive(fixture, text, sizeof(text));
	say(fixture,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"port\":53,\"addressType\":\"udp4\",\"index\":0,"
	    "\"flags\":0,\"seq\":3}\n");
	assert_true(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "\"type\":\"dgram.Native\""));
	assert_non_null(strstr(text, "\"ack\":3"));
	assert_non_null(strstr(text, "\"errno\":0"));
	hand_over(fixture, 1, 3999);
	say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
	assert_int_equal(fixture->connections[0]->state, LP_ARRIVED);
	assert_int_equal(fixture->connections[1]->state, LP_SENT);
	say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
	assert_int_equal(fixture->connections[1]->state, LP_ARRIVED);
	close_fixture(fixture);
}

/* It is a handle like any other, so its arrival must not be taken for a connection's. */
static void a_question_is_answered_behind_what_was_said(void **state)
{
	static const struct lp_dialect *const dialects[] = {&lp_dialect_cluster, &lp_dialect_socketio_sticky};
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fixture *fixture = open_fixture(dialects[i]);
		char text[1024];
		say(fixture, query);
		receive(fixture, text, sizeof(text));
		assert_int_equal(dialects[i]->ask(&fixture->channel, STDERR_FILENO), 0);
		assert_true(receive(fixture, text, sizeof(text)));
		assert_string_equal(text, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":"
					  "\"NODE_CLUSTER\",\"act\":\"newconn\",\"key\":\"limpet:ask\",\"seq\":-1}}\n");
		hand_over(fixture, 0, 3999);
		receive(fixture, text, sizeof(text));
		say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
		assert_int_equal(fixture->connections[0]->state, LP_SENT);
		say(fixture, "{\"type\":\"sticky:connection\",\"data\":\"s1\"}\n"
			     "{\"cmd\":\"NODE_CLUSTER\",\"ack\":-1,\"accepted\":false,\"seq\":9}\n");
		assert_string_equal(fixture->session, "+s1");
		assert_int_equal(fixture->answers, 1);
		say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":-2,\"accepted\":false,\"seq\":10}\n");
		assert_int_equal(fixture->answers, 1); /* Nobody has asked. */
		say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
		assert_int_not_equal(fixture->connections[0]->state, LP_SENT);
		assert_int_equal(fixture->returned, 0);
		close_fixture(fixture);
	}
}

static void a_udp_socket_that_cannot_be_is_an_error_number(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	say(fixture,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"port\":0,\"addressType\":\"udp4\",\"seq\":3}\n");
	assert_false(receive(fixture, text, sizeof(text)));
	assert_non_null(strstr(text, "\"errno\":-98"));
	say(fixture,
	    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"port\":1,\"addressType\":\"udp9\",\"seq\":4}\n");
	receive(fixture, text, sizeof(text));
	assert_non_null(strstr(text, "\"errno\":-95"));
	assert_false(fixture->ready);
	close_fixture(fixture);
}

static void tls_servers_share_what_the_first_has(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"port\":443,\"addressType\":4,\"index\":0,"
		     "\"data\":{\"ticketKeys\":\"00\"},\"seq\":3}\n");
	assert_string_equal(fixture->shared, ":443:0={\"ticketKeys\":\"00\"}");
	receive(fixture, text, sizeof(text));
	assert_non_null(strstr(text, "\"data\":{\"first\":1}"));
	close_fixture(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_goes_to_the_server_of_its_port),
		cmocka_unit_test(a_server_gets_no_connection_for_a_port_that_another_has_asked_for),
		cmocka_unit_test(a_closed_servers_port_is_nobody_elses_and_it_may_listen_again),
		cmocka_unit_test(in_dialects_by_message_a_server_gets_its_own_port_alone),
		cmocka_unit_test(a_server_without_a_port_is_told_limpets),
		cmocka_unit_test(a_udp_socket_is_sent_and_its_arrival_is_no_connections),
		cmocka_unit_test(a_question_is_answered_behind_what_was_said),
		cmocka_unit_test(a_udp_socket_that_cannot_be_is_an_error_number),
		cmocka_unit_test(tls_servers_share_what_the_first_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
