/*
 * Three lines of the balancer, a row for each worker, a message, the keys. If there are more workers than rows, those around
 * the selected one are shown.
 */
#include "tools/top_screen.h"

#include <string.h>

#include "base/plain_text.h"
#include "tools/balancer_query.h"
#include "tools/chart.h"
#include "tools/status_table.h"

/* Lines that are no worker's: four above, the message and the keys below, and an empty one. */
#define OTHER_ROWS 8
#define FEWEST_ROWS 10

#define INVERSE "\x1b[7m"
#define RESET "\x1b[0m"

static void print_number(FILE *out, long long number, int columns)
{
	char text[LP_CHART_NUMBER_SIZE];

	fprintf(out, "%*s", columns, lp_chart_number((uint64_t)number, text));
}

/* How many a second there were since a count was less; -1: it cannot be told yet. */
static double rate_since(const struct lp_top_screen *screen, long long count, long long before)
{
	uint64_t ms = screen->now_ms - screen->past->at_ms;

	return screen->past->at_ms && ms && count >= before ? (double)(count - before) * 1000 / (double)ms : -1;
}

static void print_rate(FILE *out, double rate, int columns)
{
	if (rate < 0)
		fprintf(out, "%*s", columns, "-");
	else
		fprintf(out, "%*.*f", columns, rate < 10 ? 1 : 0, rate);
}

static void print_balancer(FILE *out, const struct lp_top_screen *screen)
{
	const json_t *status = screen->status;
	const json_t *counts = json_object_get(status, "counts");
	const json_t *latency = json_object_get(status, "latency_us");
	char text[2][LP_STATUS_DURATION_SIZE];

	fputs("limpet ", out);
	lp_plain_print(out, lp_query_text(status, "version"), 0);
	fputs("  ", out);
	lp_plain_print(out, lp_query_text(status, "name"), 0);
	fprintf(out, " (pid %lld)  ", lp_query_number(status, "pid"));
	lp_plain_print(out, lp_query_text(status, "state"), 0);
	if (strlen(lp_query_text(status, "started")) == 20)
		fprintf(out, " since %.10s %.8s UTC", lp_query_text(status, "started"),
			lp_query_text(status, "started") + 11);
	fputc('\n', out);
	fputs("accepted ", out);
	print_number(out, lp_query_number(counts, "accepted"), 0);
	fputs(", ", out);
	print_rate(out, rate_since(screen, lp_query_number(counts, "accepted"), screen->past->accepted), 0);
	fputs(" a second; refused ", out);
	print_number(out, lp_query_number(counts, "refused"), 0);
	fputs(", left early ", out);
	print_number(out, lp_query_number(counts, "closed_early"), 0);
	fputs("\nwaiting ", out);
	print_number(out, lp_query_number(counts, "waiting"), 0);
	fputs(", sessions ", out);
	print_number(out, lp_query_number(counts, "sessions"), 0);
	fprintf(out, ", hand-over p50 %s, p99 %s\n\n", lp_status_latency(lp_query_number(latency, "p50"), text[0]),
		lp_status_latency(lp_query_number(latency, "p99"), text[1]));
}

static void print_worker(FILE *out, const struct lp_top_screen *screen, const json_t *worker)
{
	const char *state = lp_query_text(worker, "state");
	long long id = lp_query_number(worker, "id");
	long long handed_over = lp_query_number(worker, "handed_over");
	bool selected = id == screen->selected;
	long long before = id >= 0 && id <= 256 ? screen->past->handed_over[id] : handed_over;
	char uptime[LP_STATUS_DURATION_SIZE] = "-";

	if (lp_query_number(worker, "uptime_ms"))
		lp_status_duration(lp_query_number(worker, "uptime_ms"), uptime);
	fprintf(out, "%c%5lld %8lld  %s", selected ? '>' : ' ', id, lp_query_number(worker, "pid"),
		screen->colours ? lp_status_colour(state) : "");
	lp_plain_print(out, state, 9);
	fputs(screen->colours ? RESET : "", out);
	print_number(out, lp_query_number(worker, "connections"), 7);
	print_number(out, lp_query_number(worker, "sessions"), 9);
	print_rate(out, rate_since(screen, handed_over, before), 8);
	print_number(out, handed_over, 12);
	print_number(out, lp_query_number(worker, "returned"), 9);
	fprintf(out, " %7s\n", uptime);
}

static size_t place_of(const json_t *workers, long long id)
{
	size_t place = 0;

	while (place < json_array_size(workers) && lp_query_number(json_array_get(workers, place), "id") != id)
		place++;
	return place;
}

static void print_workers(FILE *out, const struct lp_top_screen *screen)
{
	const json_t *workers = json_object_get(screen->status, "workers");
	size_t count = json_array_size(workers);
	size_t room = (screen->rows < FEWEST_ROWS ? FEWEST_ROWS : screen->rows) - OTHER_ROWS;
	size_t selected = place_of(workers, screen->selected);
	size_t first = selected >= room && selected < count ? selected + 1 - room : 0;
	size_t last = first + room < count ? first + room : count;

	fputs("worker      pid  state      conns sessions   new/s handed over  returned   ready\n", out);
	for (size_t i = first; i < last; i++)
		print_worker(out, screen, json_array_get(workers, i));
	for (size_t i = last - first; i < room; i++)
		fputc('\n', out);
	if (last - first < count)
		fprintf(out, "workers %zu to %zu of %zu", first + 1, last, count);
	fputc('\n', out);
}

void lp_top_print(FILE *out, const struct lp_top_screen *screen)
{
	if (screen->status) {
		print_balancer(out, screen);
		print_workers(out, screen);
	}
	lp_plain_print(out, screen->message ? screen->message : "", 0);
	fprintf(out, "\n%s up, down: choose   d: drain   e: enable   r: reload policies   q: quit %s",
		screen->colours ? INVERSE : "", screen->colours ? RESET : "");
}

void lp_top_remember(struct lp_top_past *past, const json_t *status, uint64_t now_ms)
{
	const json_t *workers = json_object_get(status, "workers");

	*past = (struct lp_top_past){.at_ms = now_ms};
	past->accepted = lp_query_number(json_object_get(status, "counts"), "accepted");
	for (size_t i = 0; i < json_array_size(workers); i++) {
		const json_t *worker = json_array_get(workers, i);
		long long id = lp_query_number(worker, "id");

		if (id >= 0 && id <= 256)
			past->handed_over[id] = lp_query_number(worker, "handed_over");
	}
}

long long lp_top_select(const json_t *status, long long selected, int step)
{
	const json_t *workers = json_object_get(status, "workers");
	size_t count = json_array_size(workers);
	size_t place = place_of(workers, selected);

	if (count == 0)
		return 0;
	if (place == count) /* It is gone, or none was chosen yet. */
		place = 0;
	else if (step < 0 && place > 0)
		place--;
	else if (step > 0 && place + 1 < count)
		place++;
	return lp_query_number(json_array_get(workers, place), "id");
}
