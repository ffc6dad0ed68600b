/*
 * Addresses: what is taken for one, and that the same client is the same address however it came.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "guarded.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct guarded guarded;

static int set_up(void **state)
{
	(void)state;
	return guarded_init(&guarded, 4096);
}

static int tear_down(void **state)
{
	(void)state;
	guarded_deinit(&guarded);
	return 0;
}

/* Parse text that ends, without a NUL, before a page that faults. */
static int parse(const char *text, struct lp_ip *ip)
{
	size_t length = strlen(text);

	return lp_ip_parse(guarded_put(&guarded, text, length), length, ip);
}

static struct lp_ip ip_of(const char *text)
{
	struct lp_ip ip;

	assert_int_equal(parse(text, &ip), 0);
	return ip;
}

static void assert_formats_as(const char *text, const char *formatted)
{
	struct lp_ip ip = ip_of(text);
	char out[LP_IP_TEXT_SIZE];

	assert_int_equal(lp_ip_format(&ip, out), strlen(formatted));
	assert_string_equal(out, formatted);
}

static void every_ipv4_byte_is_written_and_read(void **state)
{
	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char text[LP_IP_TEXT_SIZE];

		snprintf(text, sizeof(text), "%d.%d.%d.%d", byte, 255 - byte, byte, byte);
		assert_formats_as(text, text);
		assert_int_equal(ip_of(text).family, LP_FAMILY_IPV4);
		assert_int_equal(ip_of(text).bytes[1], 255 - byte);
	}
}

static void ipv6_is_written_as_rfc_5952_says(void **state)
{
	(void)state;
	assert_formats_as("2001:0DB8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1");
	assert_formats_as("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1");
	assert_formats_as("2001:0:0:1:0:0:0:1", "2001:0:0:1::1");
	assert_formats_as("::", "::");
	assert_formats_as("::1", "::1");
	assert_formats_as("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void a_mapped_address_is_ipv4(void **state)
{
	struct lp_ip plain = ip_of("203.0.113.9");
	struct lp_ip mapped = ip_of("::ffff:203.0.113.9");
	struct lp_ip in_hex = ip_of("0:0:0:0:0:FFFF:CB00:7109");
	struct lp_ip compatible = ip_of("::203.0.113.9");

	(void)state;
	assert_true(lp_ip_equal(&plain, &mapped));
	assert_true(lp_ip_equal(&plain, &in_hex));
	assert_false(lp_ip_equal(&plain, &compatible));
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"1",
		"1.2.3",
		"1.2.3.4.5",
		"1.2.3.",
		"1.2.3.256",
		"1.2.3.-4",
		"01.2.3.4",
		"010.1.1.1",
		"0x7f.0.0.1",
		"2130706433",
		" 1.2.3.4",
		"1.2.3.4 ",
		"1.2.3.4\n",
		"1..3.4",
		"1.2.3.4:80",
		"[::1]",
		"::1%lo",
		"fe80::1%1",
		":",
		":::",
		"1::2::3",
		"1:2:3:4:5:6",
		"::12345",
		"::g",
		"1.2.3.4/8",
		"::ffff:1.2.3",
		"localhost",
		"unknown",
		"_hidden",
		"::1.2.3.256",
		"1:2:3:4:5:6:7:8:9",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
	};
	struct lp_ip untouched = {.family = 77};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		if (parse(texts[i], &untouched) != -EINVAL)
			fail_msg("\"%s\" was taken", texts[i]);
		assert_int_equal(untouched.family, 77);
	}
	assert_int_equal(lp_ip_parse("1.2.3.4\0z", 9, &untouched), -EINVAL);
}

static void only_the_given_length_is_read(void **state)
{
	struct lp_ip expected = ip_of("1.2.3.4");
	struct lp_ip ip;

	(void)state;
	assert_int_equal(lp_ip_parse("1.2.3.45", 7, &ip), 0);
	assert_true(lp_ip_equal(&ip, &expected));
}

static void a_socket_address_gives_address_and_port(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(54321)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct lp_ip expected;
	struct lp_ip ip;
	uint16_t port;
	char text[LP_IP_TEXT_SIZE];

	(void)state;
	inet_pton(AF_INET, "203.0.113.9", &in.sin_addr);
	expected = ip_of("203.0.113.9");
	lp_ip_from_socket((struct sockaddr *)&in, &ip, &port);
	assert_true(lp_ip_equal(&ip, &expected));
	assert_int_equal(port, 54321);

	inet_pton(AF_INET6, "::ffff:203.0.113.9", &in6.sin6_addr);
	lp_ip_from_socket((struct sockaddr *)&in6, &ip, &port);
	assert_true(lp_ip_equal(&ip, &expected));
	assert_int_equal(port, 80);

	inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
	expected = ip_of("2001:db8::1");
	lp_ip_from_socket((struct sockaddr *)&in6, &ip, &port);
	assert_true(lp_ip_equal(&ip, &expected));

	lp_ip_from_socket((struct sockaddr *)&un, &ip, &port);
	assert_int_equal(ip.family, LP_FAMILY_UNIX);
	assert_int_equal(port, 0);
	assert_int_equal(lp_ip_format(&ip, text), 0);
	assert_string_equal(text, "");
}

static bool contains(const char *range, const char *address)
{
	struct lp_network network;
	struct lp_ip ip = ip_of(address);

	assert_int_equal(lp_network_parse(range, &network, NULL), 0);
	return lp_network_contains(&network, &ip);
}

static void a_range_ends_at_its_last_bit(void **state)
{
	(void)state;
	assert_true(contains("10.0.0.0/8", "10.255.255.255"));
	assert_false(contains("10.0.0.0/8", "11.0.0.0"));
	assert_true(contains("172.16.0.0/12", "172.31.255.255"));
	assert_false(contains("172.16.0.0/12", "172.32.0.0"));
	assert_false(contains("172.16.0.0/12", "172.15.255.255"));
	assert_true(contains("192.0.2.6/31", "192.0.2.7"));
	assert_false(contains("192.0.2.6/31", "192.0.2.8"));
	assert_true(contains("fd00::/7", "fcff::1"));
	assert_false(contains("fd00::/8", "fcff::1"));
	assert_true(contains("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(contains("2001:db8::/33", "2001:db8:8000::1"));
}

static void a_single_address_is_a_range(void **state)
{
	(void)state;
	assert_true(contains("192.0.2.7", "192.0.2.7"));
	assert_false(contains("192.0.2.7", "192.0.2.6"));
	assert_true(contains("::1", "::1"));
	assert_false(contains("::1/128", "::2"));
}

static void families_never_mix(void **state)
{
	struct lp_ip unix_peer = {.family = LP_FAMILY_UNIX};
	struct lp_network all;

	(void)state;
	assert_true(contains("0.0.0.0/0", "255.255.255.255"));
	assert_false(contains("0.0.0.0/0", "::1"));
	assert_true(contains("::/0", "2001:db8::1"));
	assert_false(contains("::/0", "192.0.2.7"));
	assert_int_equal(lp_network_parse("0.0.0.0/0", &all, NULL), 0);
	assert_false(lp_network_contains(&all, &unix_peer));
}

static void a_mapped_range_is_ipv4(void **state)
{
	struct lp_network network;

	(void)state;
	assert_true(contains("::ffff:10.0.0.0/104", "10.9.8.7"));
	assert_false(contains("::ffff:10.0.0.0/104", "11.0.0.0"));
	assert_true(contains("::ffff:0.0.0.0/96", "192.0.2.7"));
	assert_true(contains("10.0.0.0/8", "::ffff:10.9.8.7"));
	assert_int_equal(lp_network_parse("::ffff:10.0.0.0/8", &network, NULL), -EINVAL);
}

static void bits_past_the_prefix_are_cleared(void **state)
{
	struct lp_network network;
	struct lp_ip expected;

	(void)state;
	assert_int_equal(lp_network_parse("10.255.255.255/9", &network, NULL), 0);
	expected = ip_of("10.128.0.0");
	assert_int_equal(network.prefix, 9);
	assert_true(lp_ip_equal(&network.ip, &expected));
	assert_int_equal(lp_network_parse("ffff:ffff::ffff/17", &network, NULL), 0);
	expected = ip_of("ffff:8000::");
	assert_true(lp_ip_equal(&network.ip, &expected));
}

static void what_is_no_range_is_named(void **state)
{
	static const char *const texts[] = {
		"",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/8/8",
		"10.0.0.0/ 8",
		"10.0.0.0/+8",
		"10/8",
		"::/129",
		"fd00::/x",
		"localhost/8",
		"10.0.0.0/255.0.0.0",
		"::/99999999999999999999",
	};
	struct lp_network network;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct lp_error error = {0};
		char quoted[64];

		snprintf(quoted, sizeof(quoted), "\"%s\"", texts[i]);
		if (lp_network_parse(texts[i], &network, &error) != -EINVAL || !strstr(error.text, quoted))
			fail_msg("%s: %s", quoted, error.text);
	}
}

static void assert_listens_at(const char *text, const char *formatted)
{
	struct lp_listen_address address;
	struct lp_error error = {0};
	char out[LP_LISTEN_TEXT_SIZE];

	if (lp_listen_address_parse(text, &address, &error) != 0)
		fail_msg("%s", error.text);
	lp_listen_address_format(&address, out);
	assert_string_equal(out, formatted);
}

static void listen_addresses_are_written_as_they_are_read(void **state)
{
	static const char *const texts[] = {
		":3000",     ":0",         "127.0.0.1:3000",    "255.255.255.255:65535", "[::1]:3000",
		"[::]:3000", "0.0.0.0:80", "[2001:db8::1]:443", "unix:/run/app.sock",    "unix:a:3000",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_listens_at(texts[i], texts[i]);
	assert_listens_at("[::ffff:127.0.0.1]:80", "127.0.0.1:80");
	assert_listens_at("[2001:DB8:0::1]:80", "[2001:db8::1]:80");
}

static void a_port_alone_is_for_both_families(void **state)
{
	struct lp_listen_address address;

	(void)state;
	assert_int_equal(lp_listen_address_parse(":3000", &address, NULL), 0);
	assert_true(address.both_families);
	assert_int_equal(address.socket.any.sa_family, AF_INET6);
	assert_int_equal(address.socket.in6.sin6_port, htons(3000));
	assert_memory_equal(&address.socket.in6.sin6_addr, &in6addr_any, sizeof(in6addr_any));

	assert_int_equal(lp_listen_address_parse("[::]:3000", &address, NULL), 0);
	assert_false(address.both_families);
}

/* On ports that the kernel chooses. */
static void what_is_parsed_can_be_bound(void **state)
{
	static const char *const texts[] = {"127.0.0.1:0", "0.0.0.0:0"};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct lp_listen_address address;
		int fd;

		assert_int_equal(lp_listen_address_parse(texts[i], &address, NULL), 0);
		fd = socket(address.socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fd >= 0);
		assert_int_equal(bind(fd, &address.socket.any, address.length), 0);
		close(fd);
	}
}

static void a_unix_path_may_fill_its_socket_address(void **state)
{
	struct lp_listen_address address;
	struct lp_error error = {0};
	char text[LP_LISTEN_TEXT_SIZE + 1] = "unix:/";
	size_t most = sizeof(address.socket.un.sun_path) - 1;

	(void)state;
	memset(text + strlen("unix:/"), 'a', most - 1);
	text[strlen("unix:") + most] = '\0';
	assert_listens_at(text, text);

	text[strlen("unix:") + most] = 'a';
	text[strlen("unix:") + most + 1] = '\0';
	assert_int_equal(lp_listen_address_parse(text, &address, &error), LP_EUSAGE);
	assert_non_null(strstr(error.text, "108 bytes"));
	assert_non_null(strstr(error.text, "107"));
}

static void a_listen_address_that_is_none_has_a_way_out(void **state)
{
	static const struct {
		const char *text;
		const char *way_out;
	} cases[] = {
		{"3000", "did you mean :3000?"},
		{"/run/app.sock", "did you mean unix:/run/app.sock?"},
		{"", ":3000"},
		{"127.0.0.1", "no port"},
		{"[::1]", "no port"},
		{"[", "no port"},
		{"example", "no port"},
		{"::1:3000", "[::1]:3000"},
		{":::3000", "[::1]:3000"},
		{"[127.0.0.1]:3000", "IPv6"},
		{"[]:3000", "IPv6"},
		{"[::1%lo]:3000", "IPv6"},
		{":", "0 to 65535"},
		{":65536", "0 to 65535"},
		{":-1", "0 to 65535"},
		{": 80", "0 to 65535"},
		{":80 ", "0 to 65535"},
		{":99999999999999999999", "0 to 65535"},
		{"localhost:http", "\"http\""},
		{"unix:", "unix:/run/app.sock"},
		{"127.1:3000", "four decimal numbers"},
		{"010.1.1.1:3000", "four decimal numbers"},
		{"2130706433:3000", "four decimal numbers"},
		{"no such host:3000", "\"no such host\""},
		{":3000,mode=660", "\"mode=660\" does not belong after a port"},
		{":3000,:3001", "each address has a --listen of its own"},
		{"unix:/run/a,mod=660", "\"mod=660\" is not known; did you mean mode=?"},
		{"unix:/run/a,backlog=5", "\"backlog=5\" is not known; the options are mode=660, user=NAME"},
		{"unix:/run/a,b", "the path itself has no comma"},
		{"unix:/run/a,", "\"\" is not known"},
		{"unix:/run/a,mode=660,", "\"\" is not known"},
		{"unix:,mode=660", "has no path"},
		{"unix:/run/a,mode=888", "mode=888 is not three octal digits"},
		{"unix:/run/a,mode=6600", "mode=6600 is not three octal digits"},
		{"unix:/run/a,mode=66", "mode=66 is not three octal digits"},
		{"unix:/run/a,mode=rw", "mode=rw is not three octal digits"},
		{"unix:/run/a,mode=", "mode= is not three octal digits"},
		{"unix:/run/a,mode=444", "with mode=444 nobody can connect"},
		{"unix:/run/a,mode=660,mode=600", "mode= is given twice"},
		{"unix:/run/a,user=no-such-user", "there is no user \"no-such-user\""},
		{"unix:/run/a,group=no-such-group", "there is no group \"no-such-group\""},
		{"unix:/run/a,group=", "there is no group \"\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct lp_listen_address address = {.length = 77};
		struct lp_error error = {0};

		if (lp_listen_address_parse(cases[i].text, &address, &error) != LP_EUSAGE ||
		    !strstr(error.text, cases[i].way_out) || address.length != 77)
			fail_msg("\"%s\": %s", cases[i].text, error.text);
		assert_int_equal(lp_listen_address_parse(cases[i].text, &address, NULL), LP_EUSAGE);
	}
}

static struct lp_socket_access access_of(const char *text)
{
	struct lp_listen_address address;
	struct lp_error error = {0};

	if (lp_listen_address_parse(text, &address, &error) != 0)
		fail_msg("%s", error.text);
	return address.access;
}

static void a_unix_path_says_who_may_connect(void **state)
{
	struct lp_socket_access access = access_of("unix:/run/a,mode=0666,user=root,group=12");

	(void)state;
	assert_true(access.has_mode && access.has_user && access.has_group);
	assert_int_equal(access.mode, 0666);
	assert_int_equal(access.user, 0);
	assert_int_equal(access.group, 12);
	access = access_of("unix:/run/a,group=root");
	assert_false(access.has_user);
	assert_true(access.has_mode);
	assert_int_equal(access.mode, 0660);
	access = access_of("unix:/run/a,group=root,mode=620");
	assert_int_equal(access.mode, 0620);
	access = access_of("unix:/run/a");
	assert_false(access.has_mode || access.has_user || access.has_group);
	assert_listens_at("unix:/run/a,mode=660", "unix:/run/a");
}

static void a_listener_is_named_without_that(void **state)
{
	char name[LP_LISTEN_TEXT_SIZE];

	(void)state;
	lp_listen_address_name("unix:/run/a,mode=660", name);
	assert_string_equal(name, "unix:/run/a");
	lp_listen_address_name(":3000", name);
	assert_string_equal(name, ":3000");
}

static bool collide(const char *a, const char *b)
{
	struct lp_listen_address addresses[2];

	assert_int_equal(lp_listen_address_parse(a, &addresses[0], NULL), 0);
	assert_int_equal(lp_listen_address_parse(b, &addresses[1], NULL), 0);
	assert_int_equal(lp_listen_address_collides(&addresses[0], &addresses[1]),
			 lp_listen_address_collides(&addresses[1], &addresses[0]));
	return lp_listen_address_collides(&addresses[0], &addresses[1]);
}

static void addresses_that_take_each_others_connections_collide(void **state)
{
	static const char *const together[][2] = {
		{":3500", ":3500"},
		{":3500", "0.0.0.0:3500"},
		{":3500", "[::]:3500"},
		{":3500", "127.0.0.1:3500"},
		{":3500", "[::1]:3500"},
		{"0.0.0.0:3500", "127.0.0.1:3500"},
		{"[::]:3500", "[::1]:3500"},
		{"127.0.0.1:3500", "[::ffff:127.0.0.1]:3500"},
		{"unix:/tmp/a", "unix:/tmp/a"},
		{"unix:/tmp/a", "unix:/tmp/../tmp/./a"},
		{"unix:a", "unix:./a"},
		{"unix:/no/such/folder/a", "unix:/no/such/folder/a"},
		{"unix:/tmp/a,mode=660", "unix:/tmp/a"},
	};
	static const char *const apart[][2] = {
		{":0", ":0"},
		{":3500", ":3501"},
		{"127.0.0.1:3500", "127.0.0.2:3500"},
		{"0.0.0.0:3500", "[::]:3500"},
		{"127.0.0.1:3500", "[::1]:3500"},
		{"unix:/tmp/a", "unix:/tmp/b"},
		{"unix:/tmp/a", "unix:/a"},
		{"unix:/tmp/a", ":3500"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(together); i++)
		if (!collide(together[i][0], together[i][1]))
			fail_msg("%s %s", together[i][0], together[i][1]);
	for (size_t i = 0; i < COUNT(apart); i++)
		if (collide(apart[i][0], apart[i][1]))
			fail_msg("%s %s", apart[i][0], apart[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ipv4_byte_is_written_and_read),
		cmocka_unit_test(ipv6_is_written_as_rfc_5952_says),
		cmocka_unit_test(a_mapped_address_is_ipv4),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(only_the_given_length_is_read),
		cmocka_unit_test(a_socket_address_gives_address_and_port),
		cmocka_unit_test(a_range_ends_at_its_last_bit),
		cmocka_unit_test(a_single_address_is_a_range),
		cmocka_unit_test(families_never_mix),
		cmocka_unit_test(a_mapped_range_is_ipv4),
		cmocka_unit_test(bits_past_the_prefix_are_cleared),
		cmocka_unit_test(what_is_no_range_is_named),
		cmocka_unit_test(listen_addresses_are_written_as_they_are_read),
		cmocka_unit_test(a_port_alone_is_for_both_families),
		cmocka_unit_test(what_is_parsed_can_be_bound),
		cmocka_unit_test(a_unix_path_may_fill_its_socket_address),
		cmocka_unit_test(a_listen_address_that_is_none_has_a_way_out),
		cmocka_unit_test(a_unix_path_says_who_may_connect),
		cmocka_unit_test(a_listener_is_named_without_that),
		cmocka_unit_test(addresses_that_take_each_others_connections_collide),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
