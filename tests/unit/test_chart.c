/*
 * Charts, in terminals and as pictures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/chart.h"

/* What printing wrote; for free(). */
static char *printed(const struct lp_chart *chart, struct lp_chart_style style)
{
	static char *text;
	static size_t length;
	FILE *out = open_memstream(&text, &length);

	lp_chart_print(chart, &style, out);
	fclose(out);
	return text;
}

static char *drawn(const struct lp_chart *chart)
{
	static char *text;
	static size_t length;
	FILE *out = open_memstream(&text, &length);

	lp_chart_write_svg(chart, out);
	fclose(out);
	return text;
}

static void bars_are_in_proportion_and_lines_as_long_as_allowed(void **state)
{
	struct lp_chart chart = {.label = "worker", .values = (const uint64_t[]){1500, 1000, 500, 0}, .count = 4};
	char *text = printed(&chart, (struct lp_chart_style){.columns = 48});

	(void)state;
	assert_string_equal(text, "  worker 1  ##################  1,500   +100.0 %\n"
				  "  worker 2  ############        1,000    +33.3 %\n"
				  "  worker 3  ######                500    -33.3 %\n"
				  "  worker 4                          0   -100.0 %\n");
	assert_int_equal(strchr(text, '\n') - text, 48);
	free(text);
}

static void unicode_bars_are_exact_to_an_eighth(void **state)
{
	struct lp_chart chart = {.label = "w", .values = (const uint64_t[]){136, 65, 7}, .count = 3};
	char *text = printed(&chart, (struct lp_chart_style){.columns = 40, .unicode = true});

	(void)state;
	assert_string_equal(text, "  w 1  █████████████████  136    +96.2 %\n"
				  "  w 2  ████████▏           65     -6.2 %\n"
				  "  w 3  ▉                    7    -89.9 %\n");
	free(text);
}

static void a_little_is_not_drawn_as_nothing(void **state)
{
	struct lp_chart chart = {.label = "w", .values = (const uint64_t[]){1000000, 1}, .count = 2};
	char *plain = printed(&chart, (struct lp_chart_style){.columns = 60});
	char *unicode = printed(&chart, (struct lp_chart_style){.columns = 60, .unicode = true});

	(void)state;
	assert_non_null(strstr(plain, "w 2  # "));
	assert_non_null(strstr(unicode, "w 2  ▏ "));
	free(plain);
	free(unicode);
}

static void nothing_at_all_is_still_a_chart(void **state)
{
	struct lp_chart empty = {.title = "t", .subtitle = "s", .label = "w"};
	struct lp_chart zero = {
		.title = "t", .subtitle = "s", .label = "w", .values = (const uint64_t[]){0}, .count = 1};
	char *texts[] = {printed(&empty, (struct lp_chart_style){.columns = 40}),
			 printed(&zero, (struct lp_chart_style){.columns = 0}), drawn(&empty), drawn(&zero)};

	(void)state;
	assert_string_equal(texts[0], "");
	assert_non_null(strstr(texts[1], "  0     +0.0 %\n"));
	for (size_t i = 0; i < 4; i++) {
		assert_null(strstr(texts[i], "nan"));
		assert_null(strstr(texts[i], "inf"));
		free(texts[i]);
	}
}

static void numbers_have_a_comma_between_thousands(void **state)
{
	char text[LP_CHART_NUMBER_SIZE];

	(void)state;
	assert_string_equal(lp_chart_number(0, text), "0");
	assert_string_equal(lp_chart_number(999, text), "999");
	assert_string_equal(lp_chart_number(1000, text), "1,000");
	assert_string_equal(lp_chart_number(100000, text), "100,000");
	assert_string_equal(lp_chart_number(UINT64_MAX, text), "18,446,744,073,709,551,615");
}

static void a_picture_has_every_bar_and_escapes_what_xml_reads(void **state)
{
	struct lp_chart chart = {
		.title = "a<b>&\"c\".lua\n",
		.subtitle = "<&>",
		.label = "worker",
		.values = (const uint64_t[]){300, 100},
		.count = 2,
	};
	char *text = drawn(&chart);

	(void)state;
	assert_int_equal(strncmp(text, "<svg xmlns=\"http://www.w3.org/2000/svg\"", 39), 0);
	assert_string_equal(text + strlen(text) - 7, "</svg>\n");
	assert_non_null(strstr(text, ">a&lt;b&gt;&amp;&quot;c&quot;.lua </text>"));
	assert_non_null(strstr(text, ">&lt;&amp;&gt;</text>"));
	assert_non_null(strstr(text, "width=\"460.0\""));
	assert_non_null(strstr(text, "width=\"153.3\""));
	assert_non_null(strstr(text, ">+50.0 %</text>"));
	assert_non_null(strstr(text, "mean 200"));
	free(text);
}

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static struct lp_chart_style style_of(const char *all, const char *lang, const char *no_color, const char *columns)
{
	set("LC_ALL", all);
	unsetenv("LC_CTYPE");
	set("LANG", lang);
	set("NO_COLOR", no_color);
	set("COLUMNS", columns);
	return lp_chart_style_of_environment();
}

static void the_environment_says_how_to_draw(void **state)
{
	(void)state;
	assert_true(style_of(NULL, "en_GB.UTF-8", NULL, NULL).unicode);
	assert_true(style_of("C.utf8", "C", NULL, NULL).unicode);
	assert_true(style_of("", "C.UTF-8", NULL, NULL).unicode);
	assert_false(style_of("C", "en_GB.UTF-8", NULL, NULL).unicode);
	assert_false(style_of(NULL, NULL, NULL, NULL).unicode);
	assert_false(style_of(NULL, "en_GB.UTF-8", "1", NULL).unicode);

	assert_int_equal(style_of(NULL, NULL, NULL, NULL).columns, 80);
	assert_int_equal(style_of(NULL, NULL, NULL, "132").columns, 132);
	assert_int_equal(style_of(NULL, NULL, NULL, "39").columns, 80);
	assert_int_equal(style_of(NULL, NULL, NULL, "-1").columns, 80);
	assert_int_equal(style_of(NULL, NULL, NULL, "wide").columns, 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bars_are_in_proportion_and_lines_as_long_as_allowed),
		cmocka_unit_test(unicode_bars_are_exact_to_an_eighth),
		cmocka_unit_test(a_little_is_not_drawn_as_nothing),
		cmocka_unit_test(nothing_at_all_is_still_a_chart),
		cmocka_unit_test(numbers_have_a_comma_between_thousands),
		cmocka_unit_test(a_picture_has_every_bar_and_escapes_what_xml_reads),
		cmocka_unit_test(the_environment_says_how_to_draw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
