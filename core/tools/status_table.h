/**
 * The status of a balancer as a person reads it.
 */
#ifndef LP_TOOLS_STATUS_TABLE_H
#define LP_TOOLS_STATUS_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/** Room for lp_status_duration. */
#define LP_STATUS_DURATION_SIZE 32

/** Write a duration in its two largest units: "3h12m", "45s". @param ms It. @param text LP_STATUS_DURATION_SIZE bytes. @return text. */
const char *lp_status_duration(long long ms, char *text);

/** Write a time in microseconds in the unit that suits it: "430 us", "1.2 ms", "3.4 s". @param us It. @param text
 * LP_STATUS_DURATION_SIZE bytes. @return text. */
const char *lp_status_latency(long long us, char *text);

/** The escape sequence for a worker's state: green, blue, yellow or red. @param state As the status has it. */
const char *lp_status_colour(const char *state);

/** Whether an output shows colours: it is a terminal, and NO_COLOR is not set. @param out Borrowed. */
bool lp_status_shows_colours(FILE *out);

/**
 * Print a status.
 *
 * @param out      Borrowed.
 * @param status   As the control socket answers it. Borrowed.
 * @param colours  Whether to print escape sequences for colours.
 */
void lp_status_print(FILE *out, const json_t *status, bool colours);

#endif
