/*
 * Saying what came of a simulation: a chart of the spread, the figures below it, and the picture.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/new_file.h"
#include "tools/simulate.h"

#define LINE_SIZE 256

/* "sid, ./canary.lua"; names that no longer fit are left out. */
static void write_names(const struct lp_simulation *what, char *line)
{
	size_t length = 0;

	snprintf(line, LINE_SIZE, "no policy");
	for (size_t i = 0; i < what->policy_count; i++) {
		int added = snprintf(line + length, LINE_SIZE - length, "%s%s", i ? ", " : "", what->policies[i]);

		if ((size_t)added >= LINE_SIZE - length) {
			line[length] = '\0';
			return;
		}
		length += (size_t)added;
	}
}

/* "100,000 clients with 249,492 connections, 8 workers" */
static void write_numbers(const struct lp_simulation *what, const struct lp_simulated *result, char *line)
{
	char clients[LP_CHART_NUMBER_SIZE];
	char connections[LP_CHART_NUMBER_SIZE];

	snprintf(line, LINE_SIZE, "%s clients with %s connections, %u worker%s%s",
		 lp_chart_number(what->clients, clients), lp_chart_number(result->total, connections), what->workers,
		 what->workers == 1 ? "" : "s", what->nat ? "; two in five clients share ten addresses" : "");
}

static double per_cent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

static void print_move(FILE *out, const char *when, const struct lp_simulated_move *move)
{
	fprintf(out, "  %-32s%6.1f %%  %6.1f %%\n", when, 100 * move->share, 100 * move->ideal);
}

static void print_moves(const struct lp_simulation *what, const struct lp_simulated *result, FILE *out)
{
	char when[64];

	if (!what->kill && !what->add)
		return;
	fprintf(out, "\n  clients that move                 here    rendezvous hashing\n");
	if (what->kill) {
		snprintf(when, sizeof(when), "worker %u dies", what->kill);
		print_move(out, when, &result->died);
		print_move(out, "it is back, against the start", &result->returned);
	}
	if (what->add) {
		snprintf(when, sizeof(when), "%u worker%s added", what->add, what->add == 1 ? " is" : "s are");
		print_move(out, when, &result->added);
	}
}

static void print_figures(const struct lp_simulation *what, const struct lp_simulated *result,
			  const struct lp_chart *chart, FILE *out)
{
	double mean = lp_chart_mean(chart);
	char number[LP_CHART_NUMBER_SIZE];

	fprintf(out, "  the largest against the mean    %6.2f\n",
		mean > 0 ? (double)lp_chart_largest(chart) / mean : 0);
	fprintf(out, "  clients with one worker only    %6.1f %%\n", per_cent((double)result->together, what->clients));
	if (result->refused)
		fprintf(out, "  connections refused          %9s\n", lp_chart_number(result->refused, number));
	if (result->errors)
		fprintf(out, "  errors in the policy         %9s\n", lp_chart_number(result->errors, number));
}

static int write_picture(const struct lp_chart *chart, const char *path, struct lp_error *error)
{
	struct lp_error reason = {0};
	char *picture = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&picture, &length);
	int status = file ? 0 : -ENOMEM;

	if (file)
		lp_chart_write_svg(chart, file);
	if (file && fclose(file) != 0)
		status = -ENOMEM;
	if (status == 0)
		status = lp_new_file_write(path, LP_NEW_FILE_SHARED, picture, length, &reason);
	else
		lp_error_set(&reason, status, "%s: %s", path, lp_error_words(status));
	free(picture);
	return status ? lp_error_set(error, status, "simulate: --svg %s", reason.text) : 0;
}

int lp_simulate(const struct lp_simulation *what, const struct lp_chart_style *style, const char *svg, FILE *out,
		struct lp_error *error)
{
	struct lp_simulated result;
	char names[LINE_SIZE];
	char numbers[LINE_SIZE];
	struct lp_chart chart = {
		.title = names,
		.subtitle = numbers,
		.label = "worker",
		.values = result.connections,
		.count = what->workers,
	};
	int status = lp_simulation_run(what, &result, error);

	if (status < 0)
		return status;
	write_names(what, names);
	write_numbers(what, &result, numbers);
	fprintf(out, "%s: %s\n\n", names, numbers);
	lp_chart_print(&chart, style, out);
	fputs("\n", out);
	print_figures(what, &result, &chart, out);
	print_moves(what, &result, out);
	if (fflush(out) != 0 || ferror(out))
		return lp_error_set(error, -EIO, "simulate: the result could not be written");
	return svg ? write_picture(&chart, svg, error) : 0;
}
