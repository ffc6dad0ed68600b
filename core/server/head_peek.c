/*
 * MSG_PEEK shows a connection from its first byte every time, so nothing is kept between looks but how much was seen. A
 * head cannot be complete before another line end has come; until then it is not parsed again, which bounds what a
 * client can cost that sends byte by byte.
 */
#include "server/head_peek.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

int lp_head_peek_init(struct lp_head_peek *look, size_t max_head_bytes)
{
	*look = (struct lp_head_peek){.size = max_head_bytes};
	look->bytes = malloc(max_head_bytes);
	look->head = lp_head_new(max_head_bytes);
	return look->bytes && look->head ? 0 : -ENOMEM;
}

void lp_head_peek_deinit(struct lp_head_peek *look)
{
	free(look->bytes);
	lp_head_free(look->head);
	*look = (struct lp_head_peek){0};
}

static int look_at_hello(struct lp_head_peek *look, struct lp_policy_conn *conn)
{
	int status = lp_hello_parse(&look->hello, (const unsigned char *)look->bytes, look->seen);
	if (status == LP_AGAIN && look->seen < look->size)
		return LP_AGAIN;
	conn->protocol = status > 0 ? LP_PROTOCOL_TLS : LP_PROTOCOL_OTHER;
	conn->hello = status > 0 ? &look->hello : NULL;
	look->length = status > 0 ? (size_t)status : 0;
	return 0;
}

static int look_at_head(struct lp_head_peek *look, size_t seen, struct lp_policy_conn *conn)
{
	bool line_ended = !seen || (look->seen > seen && memchr(look->bytes + seen, '\n', look->seen - seen));
	int status = line_ended ? lp_head_parse(look->head, look->bytes, look->seen) : LP_AGAIN;
	if (status == LP_AGAIN)
		return look->seen < look->size ? LP_AGAIN : -E2BIG;
	conn->protocol = status > 0 ? LP_PROTOCOL_HTTP : LP_PROTOCOL_OTHER;
	conn->head = status > 0 ? look->head : NULL;
	look->length = status > 0 ? (size_t)status : 0;
	return 0;
}

int lp_head_peek(struct lp_head_peek *look, int fd, size_t seen, struct lp_policy_conn *conn)
{
	ssize_t got;
	do
		got = recv(fd, look->bytes, look->size, MSG_PEEK | MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	look->seen = got > 0 ? (size_t)got : 0;
	if (got == 0)
		return UV_EOF;
	if (got < 0)
		return errno == EAGAIN ? LP_AGAIN : -errno;
	if (look->bytes[0] == LP_HELLO_FIRST_BYTE)
		return look_at_hello(look, conn);
	return look_at_head(look, seen, conn);
}
