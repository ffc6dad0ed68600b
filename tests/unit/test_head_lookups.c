/*
 * What is found in a head: the parts of its target, headers, query parameters and cookies.
 */
#include "head_fixture.h"

static void a_target_is_split_at_its_marks(void **state)
{
	static const struct {
		const char *target, *path, *query;
	} cases[] = {
		{"/", "/", NULL},
		{"/p?", "/p", ""},
		{"/p?a=b?c", "/p", "a=b?c"},
		{"/p?a#b", "/p", "a"},
		{"/p#b?a", "/p", NULL},
		{"//p?a", "//p", "a"},
		{"/p?u=http://h/q?z", "/p", "u=http://h/q?z"},
		{"http://h/p?sid=x", "/p", "sid=x"},
		{"http://h:80?sid=x", "/", "sid=x"},
		{"http://h/#f", "/", NULL},
		{"ws://h", "/", NULL},
		{"*", "*", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lp_head *head = get(*state, cases[i].target);

		assert_slice(head->target, cases[i].target);
		assert_slice(head->path, cases[i].path);
		if (cases[i].query)
			assert_slice(head->query, cases[i].query);
		else
			assert_null(head->query.bytes);
	}
}

static void a_connect_has_its_authority_as_path(void **state)
{
	static const char text[] = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, text), sizeof(text) - 1);
	assert_slice(fixture->head->path, "a:443");
}

static void repeated_headers_are_found_in_order(void **state)
{
	struct lp_head *head = get_with(*state, "X-A: 1\r\nB: 2\r\nx-a: 3\r\nX-AB: 4\r\nX-A: 5\r\n");
	const struct lp_header *header = lp_head_header(head, LP_SLICE("x-A"), NULL);

	assert_slice(header->value, "1");
	header = lp_head_header(head, LP_SLICE("x-A"), header);
	assert_slice(header->value, "3");
	header = lp_head_header(head, LP_SLICE("x-A"), header);
	assert_slice(header->value, "5");
	assert_null(lp_head_header(head, LP_SLICE("x-A"), header));
	assert_null(lp_head_header(head, LP_SLICE("X"), NULL));
}

static void repeated_headers_are_found_from_the_last(void **state)
{
	struct lp_head *head = get_with(*state, "X-A: 1\r\nB: 2\r\nx-a: 3\r\nX-AB: 4\r\n");
	const struct lp_header *header = lp_head_header_last(head, LP_SLICE("x-A"), NULL);

	assert_slice(header->value, "3");
	header = lp_head_header_last(head, LP_SLICE("x-A"), header);
	assert_slice(header->value, "1");
	assert_null(lp_head_header_last(head, LP_SLICE("x-A"), header));
	assert_null(lp_head_header_last(head, LP_SLICE("X"), NULL));
}

static void a_query_parameter_is_decoded(void **state)
{
	struct lp_head *head = get(*state, "/?a=b%20c+d%2Be&f=%c3%A9%00&g=1=2&h");
	char value[8];

	assert_query(head, "a", "b c d+e");
	assert_int_equal(lp_head_query(head, LP_SLICE("f"), value, sizeof(value)), 3);
	assert_memory_equal(value, "\xc3\xa9\0", 3);
	assert_query(head, "g", "1=2");
	assert_query(head, "h", "");
	assert_no_query(head, "A");
	assert_no_query(head, "");
	assert_no_query(get(*state, "/"), "a");
	assert_no_query(get(*state, "/?"), "");
}

static void a_malformed_escape_stays_as_it_is(void **state)
{
	struct lp_head *head = get(*state, "/?a=%zz%4&b=%&%zz=c");

	assert_query(head, "a", "%zz%4");
	assert_query(head, "b", "%");
	assert_query(head, "%zz", "c");
}

static void a_query_value_that_does_not_fit_is_not_cut(void **state)
{
	struct lp_head *head = get(*state, "/?a=12345&b=%31%32");
	char value[6] = "_____";

	assert_int_equal(lp_head_query(head, LP_SLICE("a"), value, 4), -1);
	assert_int_equal(value[4], '_');
	assert_int_equal(lp_head_query(head, LP_SLICE("a"), value, 5), 5);
	assert_int_equal(lp_head_query(head, LP_SLICE("b"), value, 2), 2);
	assert_int_equal(lp_head_query(head, LP_SLICE("a"), NULL, 0), -1);
}

static void the_first_of_duplicate_sids_counts(void **state)
{
	assert_query(get(*state, "/?sid=first&sid=second"), "sid", "first");
	assert_query(get(*state, "/?x=sid&&sid=first&sid=second"), "sid", "first");
	assert_query(get(*state, "/?sid=&sid=second"), "sid", "");
}

static void an_encoded_sid_is_the_same_sid(void **state)
{
	assert_query(get(*state, "/?sid=%61b%63"), "sid", "abc");
	assert_query(get(*state, "/?%73id=abc&sid=second"), "sid", "abc");
}

static void a_sid_elsewhere_than_in_the_query_is_none(void **state)
{
	struct fixture *fixture = *state;

	assert_no_query(get(fixture, "/sid=abc"), "sid");
	assert_no_query(get(fixture, "/sid=abc?xsid=abc"), "sid");
	assert_no_query(get(fixture, "/?SID=abc"), "sid");
	assert_no_query(get(fixture, "/?a#sid=abc"), "sid");
	assert_no_query(get(fixture, "http://h/sid=abc"), "sid");
	assert_no_query(get_with(fixture, "Cookie: sid=abc\r\nReferer: http://a/?sid=abc\r\nsid: abc\r\n"), "sid");
	assert_true(parse(fixture, "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\nsid=abc") > 0);
	assert_no_query(fixture->head, "sid");
}

static void cookies_are_found_by_their_exact_names(void **state)
{
	struct lp_head *head = get_with(
		*state,
		"Cookie: io=abc; IO=def;x=1=2 ;  spaced = y ; bare; empty=; q=\"r s\"; odd=\"; late; late=z\r\n");

	assert_slice(lp_head_cookie(head, LP_SLICE("io")), "abc");
	assert_slice(lp_head_cookie(head, LP_SLICE("IO")), "def");
	assert_slice(lp_head_cookie(head, LP_SLICE("x")), "1=2");
	assert_slice(lp_head_cookie(head, LP_SLICE("spaced")), "y");
	assert_slice(lp_head_cookie(head, LP_SLICE("empty")), "");
	assert_slice(lp_head_cookie(head, LP_SLICE("q")), "r s");
	assert_slice(lp_head_cookie(head, LP_SLICE("odd")), "\"");
	assert_slice(lp_head_cookie(head, LP_SLICE("late")), "z");
	assert_null(lp_head_cookie(head, LP_SLICE("bare")).bytes);
	assert_null(lp_head_cookie(head, LP_SLICE("i")).bytes);
}

static void cookies_of_several_headers_are_one_list(void **state)
{
	struct lp_head *head = get_with(*state, "cookie: a=1\r\nHost: b=2\r\nCookie: a=3; c=4\r\n");

	assert_slice(lp_head_cookie(head, LP_SLICE("a")), "1");
	assert_slice(lp_head_cookie(head, LP_SLICE("c")), "4");
	assert_null(lp_head_cookie(head, LP_SLICE("b")).bytes);
	assert_null(lp_head_cookie(get(*state, "/"), LP_SLICE("a")).bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HEAD(a_target_is_split_at_its_marks),
		WITH_HEAD(a_connect_has_its_authority_as_path),
		WITH_HEAD(repeated_headers_are_found_in_order),
		WITH_HEAD(repeated_headers_are_found_from_the_last),
		WITH_HEAD(a_query_parameter_is_decoded),
		WITH_HEAD(a_malformed_escape_stays_as_it_is),
		WITH_HEAD(a_query_value_that_does_not_fit_is_not_cut),
		WITH_HEAD(the_first_of_duplicate_sids_counts),
		WITH_HEAD(an_encoded_sid_is_the_same_sid),
		WITH_HEAD(a_sid_elsewhere_than_in_the_query_is_none),
		WITH_HEAD(cookies_are_found_by_their_exact_names),
		WITH_HEAD(cookies_of_several_headers_are_one_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
