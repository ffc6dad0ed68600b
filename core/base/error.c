/*
 * Filling errors, and finding the words for their codes.
 *
 * The sentence is made beside the error and copied, so that one error can be wrapped in another: the arguments may
 * point into the text that is being replaced. Sentences quote what users and Lua wrote; line ends become blanks.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

int lp_error_set(struct lp_error *error, int code, const char *format, ...)
{
	char text[sizeof(error->text)];
	va_list arguments;

	if (!error)
		return code;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	for (char *at = text; (at = strpbrk(at, "\r\n"));)
		*at = ' ';
	error->code = code;
	memcpy(error->text, text, sizeof(text));
	return code;
}

const char *lp_error_words(int code)
{
	static _Thread_local char words[128];

	switch (code) {
	case 0:
		return "no error";
	case LP_AGAIN:
		return "more is needed";
	case LP_ENOTHTTP:
		return "not an HTTP/1 request";
	case LP_ENOTTLS:
		return "not a TLS ClientHello";
	case LP_EUSAGE:
		return "wrong usage";
	case LP_EPOLICY:
		return "the policy cannot be loaded";
	}
	/* Not uv_strerror: for a code that it does not know it allocates, and nobody frees. */
	return uv_strerror_r(code, words, sizeof(words));
}
