/**
 * Bar charts: in a terminal, and as a picture.
 */
#ifndef LP_TOOLS_CHART_H
#define LP_TOOLS_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Room for a number with its separators, the NUL included: "18,446,744,073,709,551,615". */
#define LP_CHART_NUMBER_SIZE 27

/** Bars over one unit, compared with their mean. All borrowed. */
struct lp_chart {
	const char *title;      /**< One line of UTF-8; only pictures have it. */
	const char *subtitle;   /**< The same. */
	const char *label;      /**< What stands before a bar's number, counted from 1: "worker". */
	const uint64_t *values; /**< At most UINT64_MAX / 1000 each. */
	size_t count;           /**< Of values; 0 is a chart without bars. */
};

/** How a terminal takes it. */
struct lp_chart_style {
	unsigned columns; /**< The longest line; below 40 it is taken as 40. */
	bool unicode;     /**< Bars of block characters, exact to an eighth of a column; else of '#'. */
};

/**
 * The style that the environment asks for: as wide as COLUMNS says (80 unless it is a number from 40 to 1000), and in
 * Unicode unless NO_COLOR is set to anything or the first of LC_ALL, LC_CTYPE and LANG that is set names no UTF-8.
 */
struct lp_chart_style lp_chart_style_of_environment(void);

/**
 * Print a chart, a line each bar: label, bar, value, and how far above or below the mean it is.
 *
 * @param chart  Borrowed.
 * @param style  Borrowed.
 * @param out    Borrowed; whether it could be written is for the caller to ask (ferror).
 */
void lp_chart_print(const struct lp_chart *chart, const struct lp_chart_style *style, FILE *out);

/**
 * Write a chart as an SVG picture that needs nothing from elsewhere, with a line at the mean.
 *
 * @param chart  Borrowed. What XML gives a meaning in title, subtitle and label is escaped.
 * @param out    As lp_chart_print.
 */
void lp_chart_write_svg(const struct lp_chart *chart, FILE *out);

/** The mean of the values, 0 without any. @param chart Borrowed. */
double lp_chart_mean(const struct lp_chart *chart);

/** The largest of the values, 0 without any. @param chart Borrowed. */
uint64_t lp_chart_largest(const struct lp_chart *chart);

/**
 * Write a number with a comma between thousands.
 *
 * @param number  Any.
 * @param text    At least LP_CHART_NUMBER_SIZE bytes; ends in NUL.
 *
 * @return text.
 */
const char *lp_chart_number(uint64_t number, char *text);

#endif
