/*
 * Placeholders' names: read back by the limpet whose they are, by no other, and fit for the kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "wire/placeholder.h"

#define DOOR "/run/limpet/127.0.0.1-5000"

static const struct sockaddr any_host = {.sa_family = AF_INET};

static void a_bound_placeholder_is_known_again(void **state)
{
	struct sockaddr_un name;
	struct sockaddr_un bound;
	socklen_t length = sizeof(bound);
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_scope_id = 5};
	struct sockaddr_storage read;
	unsigned which;
	(void)state;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	socklen_t named = lp_placeholder_name(&name, DOOR, (struct sockaddr *)&address, 3);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, named), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
	assert_true(lp_placeholder_read(&bound, length, DOOR, &read, &which));
	assert_memory_equal(&read, &address, sizeof(address));
	assert_int_equal(which, 3);
	close(fd);
}

static void a_host_is_read_back_whatever_it_is(void **state)
{
	struct sockaddr_un name;
	struct sockaddr_storage read;
	unsigned which;
	(void)state;
	const struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f00000a)};
	const struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	const struct sockaddr_un path = {.sun_family = AF_UNIX};
	const struct sockaddr *const hosts[] = {(const struct sockaddr *)&four, (const struct sockaddr *)&any,
						(const struct sockaddr *)&path};
	const size_t sizes[] = {sizeof(four), sizeof(any), sizeof(sa_family_t)};
	for (size_t i = 0; i < 3; i++) {
		socklen_t length = lp_placeholder_name(&name, DOOR, hosts[i], 0);
		assert_true(lp_placeholder_read(&name, length, DOOR, &read, &which));
		assert_memory_equal(&read, hosts[i], sizes[i]);
	}
}

static void one_of_another_limpet_is_not_ours(void **state)
{
	struct sockaddr_un name;
	struct sockaddr_storage address;
	unsigned which;
	(void)state;
	socklen_t length = lp_placeholder_name(&name, DOOR "1", &any_host, 0);
	assert_false(lp_placeholder_read(&name, length, DOOR, &address, &which));
}

static void each_has_a_name_of_its_own(void **state)
{
	struct sockaddr_un one;
	struct sockaddr_un other;
	(void)state;
	socklen_t length = lp_placeholder_name(&one, DOOR, &any_host, 0);
	assert_int_equal(lp_placeholder_name(&other, DOOR, &any_host, 0), length);
	assert_memory_not_equal(&one, &other, length);
}

static void names_share_no_guessable_end(void **state)
{
	enum { NAMES = 1000, RANDOM_DIGITS = 16 };
	static char ends[NAMES][RANDOM_DIGITS + 1];
	(void)state;
	for (int i = 0; i < NAMES; i++) {
		struct sockaddr_un name;
		socklen_t length = lp_placeholder_name(&name, DOOR, &any_host, 0);
		memcpy(ends[i], (const char *)&name + length - RANDOM_DIGITS, RANDOM_DIGITS);
		assert_int_equal(strspn(ends[i], "0123456789abcdef"), RANDOM_DIGITS);
		for (int other = 0; other < i; other++)
			assert_memory_not_equal(ends[i], ends[other], RANDOM_DIGITS / 2);
	}
}

static void other_sockets_are_none(void **state)
{
	struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	struct sockaddr_un file = {.sun_family = AF_UNIX,
				   .sun_path = "limpet-preload/0000000000000000/2/00000000.0/0/1.0"};
	struct sockaddr_un abstract = {.sun_family = AF_UNIX,
				       .sun_path = "\0limpet-preload/0000000000000000/2/00000000.0/0/1.0"};
	struct sockaddr_un inet = {.sun_family = AF_INET};
	struct sockaddr_storage address;
	unsigned which;
	(void)state;
	assert_false(lp_placeholder_read(&unnamed, sizeof(sa_family_t), DOOR, &address, &which));
	assert_false(lp_placeholder_read(&unnamed, sizeof(unnamed), DOOR, &address, &which));
	assert_false(lp_placeholder_read(&file, sizeof(file), DOOR, &address, &which));
	assert_false(lp_placeholder_read(&abstract, sizeof(abstract), DOOR, &address, &which));
	assert_false(lp_placeholder_read(&inet, sizeof(struct sockaddr), DOOR, &address, &which));
}

static void the_longest_name_fits(void **state)
{
	struct sockaddr_un name;
	struct sockaddr_in6 longest = {.sin6_family = AF_INET6, .sin6_scope_id = UINT32_MAX};
	struct sockaddr_storage address;
	unsigned which;
	(void)state;
	memset(&longest.sin6_addr, 0xff, sizeof(longest.sin6_addr));
	socklen_t length = lp_placeholder_name(&name, DOOR, (struct sockaddr *)&longest, 15);
	assert_in_range(length, 1, sizeof(name));
	assert_true(lp_placeholder_read(&name, length, DOOR, &address, &which));
	assert_int_equal(which, 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bound_placeholder_is_known_again),
		cmocka_unit_test(a_host_is_read_back_whatever_it_is),
		cmocka_unit_test(one_of_another_limpet_is_not_ours),
		cmocka_unit_test(each_has_a_name_of_its_own),
		cmocka_unit_test(names_share_no_guessable_end),
		cmocka_unit_test(other_sockets_are_none),
		cmocka_unit_test(the_longest_name_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
