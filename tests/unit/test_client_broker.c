/*
 * The library for workers: the store and the bus.
 */
#include "client_fixture.h"

static char messages[1024];

static void on_message(struct limpet_worker *worker, const struct limpet_message *message, void *owner)
{
	static const char *const kinds[] = {"value", "refused", "published", "pushed", "gone"};
	size_t length = strlen(messages);
	assert_ptr_equal(owner, messages);
	assert_true(!message->bytes || strlen(message->bytes) == message->length);
	snprintf(messages + length, sizeof(messages) - length, "%s %d %s %s; ", kinds[message->kind],
		 (int)message->request, message->name ? message->name : "-", message->bytes ? message->bytes : "-");
	if (message->kind == LIMPET_MESSAGE_VALUE && message->request == 9)
		assert_int_equal(limpet_worker_set_release(worker, 0, "visits", "total", "8", 1), 0);
}

static void assert_messages(struct fixture *fixture, const char *expected)
{
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_string_equal(messages, expected);
	messages[0] = '\0';
}

static void every_wish_is_a_frame(void **state)
{
	struct fixture *fixture = *state;
	struct limpet_worker *worker = fixture->worker;
	assert_int_equal(limpet_worker_get(worker, 1, "visits", "total"), 0);
	assert_int_equal(limpet_worker_set(worker, 2, "visits", "total", "7\n", 2), 0);
	assert_int_equal(limpet_worker_set(worker, 0, "visits", "total", "", 0), 0);
	assert_int_equal(limpet_worker_set(worker, 0, "visits", "total", NULL, 0), 0);
	assert_int_equal(limpet_worker_acquire(worker, 3, "visits", "total"), 0);
	assert_int_equal(limpet_worker_release(worker, 0, "visits", "total"), 0);
	assert_int_equal(limpet_worker_set_release(worker, 4, "visits", "total", "8", 1), 0);
	assert_int_equal(limpet_worker_set_release(worker, 5, "visits", "total", NULL, 0), 0);
	assert_int_equal(limpet_worker_expire(worker, 0, "visits", 60), 0);
	assert_int_equal(limpet_worker_subscribe(worker, "news"), 0);
	assert_int_equal(limpet_worker_unsubscribe(worker, "news"), 0);
	assert_int_equal(limpet_worker_publish(worker, "news", "hello you", 9), 0);
	assert_int_equal(limpet_worker_pull(worker, "jobs"), 0);
	assert_int_equal(limpet_worker_stop(worker, "jobs"), 0);
	assert_int_equal(limpet_worker_push(worker, "jobs", NULL, 0), 0);
	static const char *const frames[] = {
		"get 1 visits total",
		"set 2 visits total\n7\n",
		"set 0 visits total\n",
		"set 0 visits total",
		"acquire 3 visits total",
		"release 0 visits total",
		"set-release 4 visits total\n8",
		"set-release 5 visits total",
		"expire 0 visits 60",
		"subscribe news",
		"unsubscribe news",
		"publish news\nhello you",
		"pull jobs",
		"stop jobs",
		"push jobs\n",
	};
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
		assert_string_equal(hear(fixture), frames[i]);
	assert_string_equal(hear(fixture), "");
}

static void what_cannot_be_said_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct limpet_worker *worker = fixture->worker;
	static char value[LIMPET_WORKER_VALUE_MAX + 1];
	assert_int_equal(limpet_worker_get(worker, 0, "visits", "total"), -EINVAL);
	assert_int_equal(limpet_worker_acquire(worker, 0, "visits", "total"), -EINVAL);
	assert_int_equal(limpet_worker_get(worker, 1, "two words", "total"), -EINVAL);
	assert_int_equal(limpet_worker_get(worker, 1, "visits", ""), -EINVAL);
	assert_int_equal(limpet_worker_get(worker, 1, NULL, "total"), -EINVAL);
	assert_int_equal(limpet_worker_subscribe(worker, "a\nb"), -EINVAL);
	assert_int_equal(limpet_worker_push(worker, "jobs", value, sizeof(value)), -EMSGSIZE);
	assert_int_equal(limpet_worker_set(worker, 1, "c", "k", value, sizeof(value)), -EMSGSIZE);
	assert_string_equal(hear(fixture), "");
	memset(value, 'v', sizeof(value));
	assert_int_equal(limpet_worker_push(worker, "jobs", value, sizeof(value) - 1), 0);
	assert_int_equal(recv(fixture->limpet, value, sizeof(value), MSG_DONTWAIT | MSG_TRUNC), 10 + sizeof(value) - 1);
	close_limpet(fixture);
	assert_int_equal(limpet_worker_publish(worker, "news", "x", 1), -EPIPE);
}

static void messages_come_to_the_function_in_order_beside_connections(void **state)
{
	struct fixture *fixture = *state;
	limpet_worker_on_message(fixture->worker, on_message, messages);
	send_text(fixture, "value 1", -1);
	send_text(fixture, "value 2\na\nb", -1);
	send_connection(fixture, 0);
	send_text(fixture, "refused 3\nno room", -1);
	send_text(fixture, "publish news\nhello", -1);
	send_text(fixture, "push jobs\n", -1);
	close(accept_one(fixture));
	assert_messages(fixture,
			"value 1 - -; value 2 - a\nb; refused 3 - no room; published 0 news hello; pushed 0 jobs ; ");
	assert_string_equal(hear(fixture), "ack 1 1");
}

static void a_message_may_be_answered_from_the_function(void **state)
{
	struct fixture *fixture = *state;
	limpet_worker_on_message(fixture->worker, on_message, messages);
	send_text(fixture, "value 9\n7", -1);
	assert_messages(fixture, "value 9 - 7; ");
	assert_string_equal(hear(fixture), "set-release 0 visits total\n8");
}

static void without_a_function_messages_are_passed_over(void **state)
{
	struct fixture *fixture = *state;
	send_text(fixture, "publish news\nhello", -1);
	assert_messages(fixture, "");
	limpet_worker_on_message(fixture->worker, on_message, messages);
	send_text(fixture, "publish news\nyou", -1);
	assert_messages(fixture, "published 0 news you; ");
	limpet_worker_on_message(fixture->worker, NULL, NULL);
	send_text(fixture, "publish news\nhello", -1);
	assert_messages(fixture, "");
}

static void messages_go_on_while_the_worker_finishes(void **state)
{
	struct fixture *fixture = *state;
	limpet_worker_on_message(fixture->worker, on_message, messages);
	send_text(fixture, "drain", -1);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -ESHUTDOWN);
	assert_false(is_readable(limpet_worker_fd(fixture->worker)));
	assert_int_equal(limpet_worker_get(fixture->worker, 1, "visits", "total"), 0);
	while (strcmp(hear(fixture), "get 1 visits total") != 0)
		continue;
	send_text(fixture, "value 1\n7", -1);
	assert_true(is_readable(limpet_worker_fd(fixture->worker)));
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -ESHUTDOWN);
	assert_string_equal(messages, "value 1 - 7; ");
	messages[0] = '\0';
	close_limpet(fixture);
	assert_true(is_readable(limpet_worker_fd(fixture->worker)));
	for (int i = 0; i < 2; i++)
		assert_int_equal(limpet_worker_accept(fixture->worker, 0), -ESHUTDOWN);
	assert_false(is_readable(limpet_worker_fd(fixture->worker)));
	assert_string_equal(messages, "gone 0 - -; ");
	messages[0] = '\0';
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORKER(every_wish_is_a_frame),
		WITH_WORKER(what_cannot_be_said_changes_nothing),
		WITH_WORKER(messages_come_to_the_function_in_order_beside_connections),
		WITH_WORKER(a_message_may_be_answered_from_the_function),
		WITH_WORKER(without_a_function_messages_are_passed_over),
		WITH_WORKER(messages_go_on_while_the_worker_finishes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
