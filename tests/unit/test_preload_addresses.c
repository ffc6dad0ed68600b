/*
 * Addresses in the family of a program's socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "preload/addresses.h"

static struct sockaddr_storage inet(const char *host, uint16_t port)
{
	struct sockaddr_storage address = {.ss_family = AF_INET};
	struct sockaddr_in *four = (struct sockaddr_in *)&address;
	four->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, host, &four->sin_addr), 1);
	return address;
}

static struct sockaddr_storage inet6(const char *host, uint16_t port)
{
	struct sockaddr_storage address = {.ss_family = AF_INET6};
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
	six->sin6_port = htons(port);
	assert_int_equal(inet_pton(AF_INET6, host, &six->sin6_addr), 1);
	return address;
}

static struct sockaddr_storage path(const char *text)
{
	struct sockaddr_storage address = {.ss_family = AF_UNIX};
	strcpy(((struct sockaddr_un *)&address)->sun_path, text);
	return address;
}

static void assert_expressed(struct sockaddr_storage from, sa_family_t family, struct sockaddr_storage to,
			     socklen_t length)
{
	assert_int_equal(lp_address_express(&from, 99, family), length);
	assert_memory_equal(&from, &to, length == 99 ? sizeof(sa_family_t) : length);
}

static void an_address_of_the_same_family_stays(void **state)
{
	(void)state;
	assert_expressed(inet("1.2.3.4", 5), AF_INET, inet("1.2.3.4", 5), 99);
	assert_expressed(inet6("::1", 5), AF_INET6, inet6("::1", 5), 99);
	assert_expressed(path("/x"), AF_UNIX, path("/x"), 99);
}

static void ipv4_is_mapped_and_unmapped(void **state)
{
	(void)state;
	assert_expressed(inet("1.2.3.4", 5), AF_INET6, inet6("::ffff:1.2.3.4", 5), sizeof(struct sockaddr_in6));
	assert_expressed(inet6("::ffff:1.2.3.4", 5), AF_INET, inet("1.2.3.4", 5), sizeof(struct sockaddr_in));
}

static void ipv6_in_ipv4_is_nobodys_address(void **state)
{
	(void)state;
	assert_expressed(inet6("::1", 5), AF_INET, inet("0.0.0.0", 5), sizeof(struct sockaddr_in));
	assert_expressed(inet6("::1.2.3.4", 5), AF_INET, inet("0.0.0.0", 5), sizeof(struct sockaddr_in));
	assert_expressed(inet6("2001:db8::7", 5), AF_INET, inet("0.0.0.0", 5), sizeof(struct sockaddr_in));
}

static void a_path_has_no_port(void **state)
{
	(void)state;
	assert_expressed(path("/run/some.sock"), AF_INET, inet("0.0.0.0", 0), sizeof(struct sockaddr_in));
	assert_expressed(path("/run/some.sock"), AF_INET6, inet6("::", 0), sizeof(struct sockaddr_in6));
	assert_expressed(inet("1.2.3.4", 5), AF_UNIX, path(""), sizeof(sa_family_t));
	assert_expressed(inet6("::1", 5), AF_UNIX, path(""), sizeof(sa_family_t));
}

static void what_fits_loses_nothing(void **state)
{
	(void)state;
	struct sockaddr_storage four = inet("1.2.3.4", 5);
	struct sockaddr_storage mapped = inet6("::ffff:1.2.3.4", 5);
	struct sockaddr_storage six = inet6("::1", 5);
	struct sockaddr_storage unix_path = path("/x");
	assert_true(lp_address_fits(&four, AF_INET) && lp_address_fits(&four, AF_INET6));
	assert_true(lp_address_fits(&mapped, AF_INET) && lp_address_fits(&mapped, AF_INET6));
	assert_true(lp_address_fits(&six, AF_INET6) && lp_address_fits(&unix_path, AF_UNIX));
	assert_false(lp_address_fits(&six, AF_INET) || lp_address_fits(&four, AF_UNIX) ||
		     lp_address_fits(&unix_path, AF_INET) || lp_address_fits(&unix_path, AF_INET6));
}

static void what_is_given_is_cut_to_the_room(void **state)
{
	(void)state;
	struct sockaddr_storage four = inet("1.2.3.4", 5);
	for (socklen_t room = 0; room < 40; room++) {
		unsigned char memory[40] = {0};
		socklen_t length = room;
		socklen_t written = room < 16 ? room : 16;
		memset(memory, 0xa5, sizeof(memory));
		lp_address_give((struct sockaddr *)memory, &length, &four, 16);
		assert_int_equal(length, 16);
		assert_memory_equal(memory, &four, written);
		for (socklen_t i = written; i < sizeof(memory); i++)
			assert_int_equal(memory[i], 0xa5);
	}
}

static void what_a_program_passes_is_checked_as_the_kernel_does(void **state)
{
	(void)state;
	struct sockaddr_storage memory = {0};
	struct sockaddr *address = (struct sockaddr *)&memory;
	assert_int_equal(lp_address_check(address, &(socklen_t){16}), 0);
	assert_int_equal(lp_address_check(address, &(socklen_t){0}), 0);
	assert_int_equal(lp_address_check(NULL, &(socklen_t){0}), 0);
	assert_int_equal(lp_address_check(NULL, &(socklen_t){1}), -EFAULT);
	assert_int_equal(lp_address_check(address, NULL), -EFAULT);
	assert_int_equal(lp_address_check(address, &(socklen_t){(socklen_t)-1}), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_of_the_same_family_stays),
		cmocka_unit_test(ipv4_is_mapped_and_unmapped),
		cmocka_unit_test(ipv6_in_ipv4_is_nobodys_address),
		cmocka_unit_test(a_path_has_no_port),
		cmocka_unit_test(what_fits_loses_nothing),
		cmocka_unit_test(what_is_given_is_cut_to_the_room),
		cmocka_unit_test(what_a_program_passes_is_checked_as_the_kernel_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
