#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#include "server/listener.h"

#define LISTENERS 7

static const char *const texts[LISTENERS] = {
	"127.0.0.1:5000", "127.0.0.2:5000", "0.0.0.0:5000", ":5001", "[::1]:5000", "unix:/run/a", "unix:/run/b",
};

static void listen_everywhere(struct lp_listener *listeners)
{
	for (size_t i = 0; i < LISTENERS; i++) {
		listeners[i] = (struct lp_listener){.origin.name = texts[i]};
		assert_int_equal(lp_listen_address_parse(texts[i], &listeners[i].address, NULL), 0);
	}
}

static const char *find_in(const struct lp_listener *listeners, size_t count, const union lp_peer *local,
			   socklen_t length)
{
	const struct lp_listener *found = lp_listener_find(listeners, count, local, length);
	return found ? found->origin.name : NULL;
}

static const char *find(const union lp_peer *local, socklen_t length)
{
	struct lp_listener listeners[LISTENERS];
	struct lp_listener reversed[LISTENERS];
	listen_everywhere(listeners);
	for (size_t i = 0; i < LISTENERS; i++)
		reversed[LISTENERS - 1 - i] = listeners[i];
	const char *found = find_in(listeners, LISTENERS, local, length);
	assert_ptr_equal(find_in(reversed, LISTENERS, local, length), found); /* The order says nothing. */
	return found;
}

static const char *find4(const char *address, uint16_t port)
{
	union lp_peer local = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};
	assert_int_equal(inet_pton(AF_INET, address, &local.in.sin_addr), 1);
	return find(&local, sizeof(local.in));
}

static const char *find6(const char *address, uint16_t port)
{
	union lp_peer local = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
	assert_int_equal(inet_pton(AF_INET6, address, &local.in6.sin6_addr), 1);
	return find(&local, sizeof(local.in6));
}

static const char *find_path(const char *path)
{
	union lp_peer local = {.un = {.sun_family = AF_UNIX}};
	strcpy(local.un.sun_path, path);
	return find(&local, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1));
}

static void the_listener_at_the_address_goes_before_the_wildcard(void **state)
{
	(void)state;
	assert_string_equal(find4("127.0.0.1", 5000), "127.0.0.1:5000");
	assert_string_equal(find4("127.0.0.2", 5000), "127.0.0.2:5000");
	assert_string_equal(find4("127.0.0.3", 5000), "0.0.0.0:5000");
}

static void families_do_not_mix(void **state)
{
	(void)state;
	assert_string_equal(find6("::1", 5000), "[::1]:5000");
	assert_null(find6("::ffff:127.0.0.1", 5000));
	assert_string_equal(find6("::ffff:127.0.0.1", 5001), ":5001"); /* As a dual-stack listener accepts it. */
	assert_string_equal(find6("::1", 5001), ":5001");
	assert_null(find4("127.0.0.1", 5001));
}

static void paths_are_told_apart(void **state)
{
	(void)state;
	assert_string_equal(find_path("/run/a"), "unix:/run/a");
	assert_string_equal(find_path("/run/b"), "unix:/run/b");
	assert_null(find_path("/run/c"));
	assert_null(find_path("/run/"));
}

static void nobody_listens_at_another_port(void **state)
{
	(void)state;
	assert_null(find4("127.0.0.1", 5002));
	assert_null(find6("::1", 5002));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_listener_at_the_address_goes_before_the_wildcard),
		cmocka_unit_test(families_do_not_mix),
		cmocka_unit_test(paths_are_told_apart),
		cmocka_unit_test(nobody_listens_at_another_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
