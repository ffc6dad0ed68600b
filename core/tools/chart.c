/*
 * Bar charts.
 *
 * The longest bar fills the room that its line leaves, and all others are in proportion from 0, so that equal workers
 * look equal: an axis that began elsewhere would make mountains of one per cent. A value above 0 is never drawn as
 * nothing.
 */
#include "tools/chart.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COLUMNS_LEAST 40
#define COLUMNS_USUAL 80
#define COLUMNS_MOST 1000

/* "+1234.5 %" */
#define DEVIATION_COLUMNS 9

/* What a picture is made of, in its own units. */
enum {
	PICTURE_WIDTH = 760,
	PICTURE_TOP = 84,
	PICTURE_BOTTOM = 40,
	PICTURE_BARS_LEFT = 110,
	PICTURE_BARS_WIDTH = 460,
	PICTURE_VALUES_RIGHT = 660,
	PICTURE_ROW = 28,
	PICTURE_BAR = 20,
};

static const char *first_set(const char *const *names)
{
	for (; *names; names++) {
		const char *value = getenv(*names);

		if (value && *value)
			return value;
	}
	return "";
}

struct lp_chart_style lp_chart_style_of_environment(void)
{
	const char *locale = first_set((const char *const[]){"LC_ALL", "LC_CTYPE", "LANG", NULL});
	const char *text = getenv("COLUMNS");
	unsigned long columns = text ? strtoul(text, NULL, 10) : 0;

	if (columns < COLUMNS_LEAST || columns > COLUMNS_MOST)
		columns = COLUMNS_USUAL;
	return (struct lp_chart_style){
		.columns = (unsigned)columns,
		.unicode = !getenv("NO_COLOR") && (strcasestr(locale, "UTF-8") || strcasestr(locale, "UTF8")),
	};
}

double lp_chart_mean(const struct lp_chart *chart)
{
	double total = 0;

	for (size_t i = 0; i < chart->count; i++)
		total += (double)chart->values[i];
	return chart->count > 0 ? total / (double)chart->count : 0;
}

uint64_t lp_chart_largest(const struct lp_chart *chart)
{
	uint64_t largest = 0;

	for (size_t i = 0; i < chart->count; i++)
		if (chart->values[i] > largest)
			largest = chart->values[i];
	return largest;
}

const char *lp_chart_number(uint64_t number, char *text)
{
	char reversed[LP_CHART_NUMBER_SIZE];
	size_t length = 0;

	for (unsigned digits = 0; digits == 0 || number > 0; digits++, number /= 10) {
		if (digits > 0 && digits % 3 == 0)
			reversed[length++] = ',';
		reversed[length++] = (char)('0' + number % 10);
	}
	for (size_t i = 0; i < length; i++)
		text[i] = reversed[length - 1 - i];
	text[length] = '\0';
	return text;
}

/* How far a value is from the mean, in per cent; never "-0.0". */
static double deviation_of(uint64_t value, double mean)
{
	double per_cent = mean > 0 ? 100 * ((double)value / mean - 1) : 0;

	return per_cent > -0.05 && per_cent < 0.05 ? 0 : per_cent;
}

static int digits_of(size_t number)
{
	return snprintf(NULL, 0, "%zu", number);
}

/* Eight parts are a column. */
static void print_bar(uint64_t parts, unsigned columns, bool unicode, FILE *out)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	uint64_t whole = unicode ? parts / 8 : (parts + 7) / 8;
	unsigned printed = 0;

	for (; printed < whole; printed++)
		fputs(unicode ? "█" : "#", out);
	if (unicode && parts % 8 > 0) {
		fputs(eighths[parts % 8], out);
		printed++;
	}
	fprintf(out, "%*s", (int)(columns - printed), "");
}

static uint64_t share_of(uint64_t value, uint64_t of, unsigned parts)
{
	uint64_t drawn = of > 0 ? (uint64_t)((double)value / (double)of * parts + 0.5) : 0;

	return value > 0 && drawn == 0 ? 1 : drawn;
}

void lp_chart_print(const struct lp_chart *chart, const struct lp_chart_style *style, FILE *out)
{
	uint64_t largest = lp_chart_largest(chart);
	double mean = lp_chart_mean(chart);
	char number[LP_CHART_NUMBER_SIZE];
	int digits = digits_of(chart->count);
	int value_columns = (int)strlen(lp_chart_number(largest, number));
	unsigned columns = style->columns < COLUMNS_LEAST ? COLUMNS_LEAST : style->columns;
	unsigned around =
		(unsigned)(2 + (int)strlen(chart->label) + 1 + digits + 2 + 2 + value_columns + 2) + DEVIATION_COLUMNS;
	unsigned room = around + 1 < columns ? columns - around : 1;

	for (size_t i = 0; i < chart->count; i++) {
		fprintf(out, "  %s %*zu  ", chart->label, digits, i + 1);
		print_bar(share_of(chart->values[i], largest, 8 * room), room, style->unicode, out);
		fprintf(out, "  %*s  %+*.1f %%\n", value_columns, lp_chart_number(chart->values[i], number),
			DEVIATION_COLUMNS - 2, deviation_of(chart->values[i], mean));
	}
}

static void write_escaped(const char *text, FILE *out)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			/* XML 1.0 has no place for control characters, not even as references. */
			fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
		}
	}
}

static void write_bar(const struct lp_chart *chart, size_t i, uint64_t largest, double mean, FILE *out)
{
	uint64_t value = chart->values[i];
	double width = largest > 0 ? (double)value / (double)largest * PICTURE_BARS_WIDTH : 0;
	int top = PICTURE_TOP + (int)i * PICTURE_ROW;
	int baseline = top + PICTURE_BAR - 5;
	char number[LP_CHART_NUMBER_SIZE];

	fprintf(out, "  <text x=\"%d\" y=\"%d\" text-anchor=\"end\">", PICTURE_BARS_LEFT - 10, baseline);
	write_escaped(chart->label, out);
	fprintf(out, " %zu</text>\n", i + 1);
	fprintf(out, "  <rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"#2f7f86\"/>\n",
		PICTURE_BARS_LEFT, top, width, PICTURE_BAR);
	fprintf(out, "  <text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", PICTURE_VALUES_RIGHT, baseline,
		lp_chart_number(value, number));
	fprintf(out, "  <text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#6b7680\">%+.1f %%</text>\n",
		PICTURE_WIDTH - 20, baseline, deviation_of(value, mean));
}

static void write_mean(double mean, uint64_t largest, int bottom, FILE *out)
{
	double x = PICTURE_BARS_LEFT + (largest > 0 ? mean / (double)largest * PICTURE_BARS_WIDTH : 0);
	char number[LP_CHART_NUMBER_SIZE];

	fprintf(out,
		"  <line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#c2452d\" stroke-width=\"1.5\" "
		"stroke-dasharray=\"4 3\"/>\n",
		x, PICTURE_TOP - 8, x, bottom);
	fprintf(out, "  <text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#c2452d\">mean %s</text>\n", x,
		bottom + 18, lp_chart_number((uint64_t)(mean + 0.5), number));
}

void lp_chart_write_svg(const struct lp_chart *chart, FILE *out)
{
	uint64_t largest = lp_chart_largest(chart);
	double mean = lp_chart_mean(chart);
	int bottom = PICTURE_TOP + (int)chart->count * PICTURE_ROW;
	int height = bottom + PICTURE_BOTTOM;

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
		"role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#1d2730\">\n",
		PICTURE_WIDTH, height, PICTURE_WIDTH, height);
	fputs("  <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n", out);
	fputs("  <text x=\"20\" y=\"34\" font-size=\"16\" font-weight=\"600\">", out);
	write_escaped(chart->title, out);
	fputs("</text>\n  <text x=\"20\" y=\"56\" fill=\"#6b7680\">", out);
	write_escaped(chart->subtitle, out);
	fputs("</text>\n", out);
	for (size_t i = 0; i < chart->count; i++)
		write_bar(chart, i, largest, mean, out);
	write_mean(mean, largest, bottom, out);
	fputs("</svg>\n", out);
}
