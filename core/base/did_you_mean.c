/*
 * Guessing what was meant: the edit distance, of whose table three rows are kept. Names are short and mistakes rare.
 */
#include "base/did_you_mean.h"

#include <stdint.h>
#include <string.h>

#define NAME_MAX_BYTES 32

static size_t lesser_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters must be put in, left out, changed, or swapped with the next to make name from text. */
static size_t edit_distance(const char *text, const char *name)
{
	size_t rows[3][NAME_MAX_BYTES] = {0}; /* Of the letters of text before the last, the last and this one. */
	size_t length = strlen(name);

	if (length >= NAME_MAX_BYTES)
		return SIZE_MAX;
	for (size_t j = 0; j <= length; j++)
		rows[0][j] = j;
	for (size_t i = 1; text[i - 1]; i++) {
		const size_t *before = rows[(i + 1) % 3];
		const size_t *above = rows[(i + 2) % 3];
		size_t *row = rows[i % 3];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			row[j] = lesser_of(lesser_of(above[j], row[j - 1]) + 1,
					   above[j - 1] + (text[i - 1] != name[j - 1]));
			if (i > 1 && j > 1 && text[i - 1] == name[j - 2] && text[i - 2] == name[j - 1])
				row[j] = lesser_of(row[j], before[j - 2] + 1);
		}
	}
	return rows[strlen(text) % 3][length];
}

void lp_did_you_mean_consider(struct lp_did_you_mean *nearest, const char *text, const char *name)
{
	size_t distance = edit_distance(text, name);
	size_t length = strlen(text);

	if (distance > strlen(name) / 3) {
		if (length < 4 || strncmp(text, name, length) != 0)
			return;
		distance = strlen(name);
	}
	if (!nearest->name || distance < nearest->distance)
		*nearest = (struct lp_did_you_mean){name, distance};
}
