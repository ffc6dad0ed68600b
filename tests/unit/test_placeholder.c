/*
 * Placeholders' names: read back by the limpet whose they are, by no other, and fit for the kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "worker/placeholder.h"

#define DOOR "/run/limpet/127.0.0.1-5000"

static void a_bound_placeholder_is_known_again(void **state)
{
	struct sockaddr_un name;
	struct sockaddr_un bound;
	socklen_t length = sizeof(bound);
	int family;
	unsigned which;
	(void)state;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	socklen_t named = lp_placeholder_name(&name, DOOR, AF_INET6, 3, 7);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, named), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
	assert_true(lp_placeholder_read(&bound, length, DOOR, &family, &which));
	assert_int_equal(family, AF_INET6);
	assert_int_equal(which, 3);
	close(fd);
}

static void one_of_another_limpet_is_not_ours(void **state)
{
	struct sockaddr_un name;
	int family;
	unsigned which;
	(void)state;
	socklen_t length = lp_placeholder_name(&name, DOOR "1", AF_INET, 0, 0);
	assert_false(lp_placeholder_read(&name, length, DOOR, &family, &which));
}

static void each_has_a_name_of_its_own(void **state)
{
	struct sockaddr_un one;
	struct sockaddr_un other;
	(void)state;
	socklen_t length = lp_placeholder_name(&one, DOOR, AF_INET, 0, 0);
	assert_int_equal(lp_placeholder_name(&other, DOOR, AF_INET, 0, 1), length);
	assert_memory_not_equal(&one, &other, length);
}

static void other_sockets_are_none(void **state)
{
	struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	struct sockaddr_un file = {.sun_family = AF_UNIX, .sun_path = "limpet-preload/0000000000000000/2/0/1.0"};
	struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0limpet-preload/0000000000000000/2/0/1.0"};
	struct sockaddr_un inet = {.sun_family = AF_INET};
	int family;
	unsigned which;
	(void)state;
	assert_false(lp_placeholder_read(&unnamed, sizeof(sa_family_t), DOOR, &family, &which));
	assert_false(lp_placeholder_read(&unnamed, sizeof(unnamed), DOOR, &family, &which));
	assert_false(lp_placeholder_read(&file, sizeof(file), DOOR, &family, &which));
	assert_false(lp_placeholder_read(&abstract, sizeof(abstract), DOOR, &family, &which));
	assert_false(lp_placeholder_read(&inet, sizeof(struct sockaddr), DOOR, &family, &which));
}

static void the_longest_name_fits(void **state)
{
	struct sockaddr_un name;
	int family;
	unsigned which;
	(void)state;
	socklen_t length = lp_placeholder_name(&name, DOOR, 65535, UINT32_MAX, UINT32_MAX);
	assert_in_range(length, 1, sizeof(name));
	assert_true(lp_placeholder_read(&name, length, DOOR, &family, &which));
	assert_int_equal(which, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bound_placeholder_is_known_again),
		cmocka_unit_test(one_of_another_limpet_is_not_ours),
		cmocka_unit_test(each_has_a_name_of_its_own),
		cmocka_unit_test(other_sockets_are_none),
		cmocka_unit_test(the_longest_name_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
