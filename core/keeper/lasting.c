/*
 * A balancer that dies says nothing any more, but what it has said is in the socket: the keeper reads all of it before it
 * starts the next one.
 *
 * An area's entry is complete before area_count has it, so a balancer that was killed in between has used some room for
 * nothing.
 */
#include "keeper/lasting.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/privileges.h"
#include "wire/scm_rights.h"

#define ALIGNMENT 64

enum operation { HOLD, DROP, BECOME };

struct message {
	uint32_t operation;
	uint32_t kind;   /* Of BECOME: the user. */
	uint32_t number; /* The group. */
};

static size_t round_up(size_t bytes)
{
	return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int lp_lasting_open(struct lp_lasting *lasting, size_t bytes)
{
	int ends[2];
	*lasting = (struct lp_lasting){.to_keeper = -1, .from_balancer = -1};
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
		int status = -errno;
		munmap(memory, bytes);
		return status;
	}
	lasting->head = memory;
	lasting->head->size = bytes;
	lasting->head->used = round_up(sizeof(*lasting->head));
	lasting->to_keeper = ends[0];
	lasting->from_balancer = ends[1];
	return 0;
}

void lp_lasting_close(struct lp_lasting *lasting)
{
	for (unsigned i = 0; i < lasting->held_count; i++)
		close(lasting->held[i].fd);
	close(lasting->to_keeper);
	if (lasting->from_balancer >= 0)
		close(lasting->from_balancer);
	munmap(lasting->head, lasting->head->size);
	*lasting = (struct lp_lasting){.to_keeper = -1, .from_balancer = -1};
}

/* For balancers */

static void *find_area(struct lp_lasting_head *head, const char *name, size_t bytes)
{
	for (uint32_t i = 0; i < head->area_count; i++)
		if (strcmp(head->areas[i].name, name) == 0 && head->areas[i].bytes == bytes)
			return (char *)head + head->areas[i].offset;
	return NULL;
}

void *lp_lasting_area(struct lp_lasting *lasting, const char *name, size_t bytes)
{
	struct lp_lasting_head *head = lasting ? lasting->head : NULL;
	void *found = head ? find_area(head, name, bytes) : NULL;
	if (found || !head)
		return found;
	if (head->area_count == LP_LASTING_AREAS_MAX || bytes > head->size - head->used - ALIGNMENT)
		return NULL;
	size_t offset = head->used;
	uint32_t area = head->area_count;
	head->used += round_up(bytes);
	strncpy(head->areas[area].name, name, LP_LASTING_NAME_SIZE - 1);
	head->areas[area].offset = offset;
	head->areas[area].bytes = bytes;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	head->area_count = area + 1;
	return (char *)head + offset;
}

static int say(struct lp_lasting *lasting, const struct message *message, int fd)
{
	ssize_t sent;
	do
		sent = lp_scm_rights_send(lasting->to_keeper, (const char *)message, sizeof(*message), fd);
	while (sent == -EINTR);
	return sent < 0 ? (int)sent : 0;
}

int lp_lasting_hold(struct lp_lasting *lasting, enum lp_lasting_kind kind, uint32_t number, int fd)
{
	const struct message message = {.operation = HOLD, .kind = kind, .number = number};
	return lasting ? say(lasting, &message, fd) : 0;
}

void lp_lasting_drop(struct lp_lasting *lasting, enum lp_lasting_kind kind, uint32_t number)
{
	const struct message message = {.operation = DROP, .kind = kind, .number = number};
	if (lasting)
		say(lasting, &message, -1); /* If that fails, the next one finds what it does not know, and drops it. */
}

int lp_lasting_become(struct lp_lasting *lasting, uid_t uid, gid_t gid)
{
	const struct message message = {.operation = BECOME, .kind = uid, .number = gid};
	return lasting ? say(lasting, &message, -1) : 0;
}

static struct lp_held *find_held(struct lp_lasting *lasting, uint32_t kind, uint32_t number)
{
	for (unsigned i = 0; i < lasting->held_count; i++)
		if (lasting->held[i].kind == kind && lasting->held[i].number == number)
			return &lasting->held[i];
	return NULL;
}

/* Returns what was held. */
static int forget_held(struct lp_lasting *lasting, struct lp_held *held)
{
	int fd = held->fd;
	*held = lasting->held[--lasting->held_count];
	return fd;
}

int lp_lasting_take(struct lp_lasting *lasting, enum lp_lasting_kind kind, uint32_t number)
{
	struct lp_held *held = lasting ? find_held(lasting, kind, number) : NULL;
	return held ? forget_held(lasting, held) : -1;
}

void lp_lasting_drop_untaken(struct lp_lasting *lasting)
{
	while (lasting && lasting->held_count) {
		struct lp_held *held = &lasting->held[0];
		lp_lasting_drop(lasting, held->kind, held->number);
		close(forget_held(lasting, held));
	}
}

bool lp_lasting_is_successor(const struct lp_lasting *lasting)
{
	return lasting && lasting->head->deaths > 0;
}

void lp_lasting_serve(struct lp_lasting *lasting)
{
	if (lasting)
		lasting->head->serves = true;
}

/* For the keeper */

static void hold(struct lp_lasting *lasting, const struct message *message, int fd)
{
	struct lp_held *before = find_held(lasting, message->kind, message->number);
	if (before)
		close(forget_held(lasting, before));
	if (fd < 0)
		return;
	if (lasting->held_count == LP_LASTING_HELD_MAX)
		close(fd);
	else
		lasting->held[lasting->held_count++] =
			(struct lp_held){.kind = (uint16_t)message->kind, .number = message->number, .fd = fd};
}

/* Who cannot become it is root still, and so will the next balancer be, which then becomes it. */
static void become(const struct message *message)
{
	const struct lp_user user = {.text = "--user", .uid = message->kind, .gid = message->number};
	struct lp_error error;
	if (geteuid() == 0 && user.uid)
		lp_user_become(&user, &error);
}

bool lp_lasting_hear(struct lp_lasting *lasting)
{
	struct message message;
	int fd;
	ssize_t got =
		lp_scm_rights_receive(lasting->from_balancer, (char *)&message, sizeof(message), MSG_CMSG_CLOEXEC, &fd);
	if (got == -EINTR)
		return true;
	if (got < 0)
		return false;
	if (got == sizeof(message) && message.operation != BECOME) {
		hold(lasting, &message, fd); /* A message without a descriptor is a DROP. */
	} else {
		if (fd >= 0)
			close(fd);
		if (got == sizeof(message))
			become(&message);
	}
	return got > 0;
}

void lp_lasting_empty(struct lp_lasting *lasting)
{
	struct lp_lasting_head *head = lasting->head;
	size_t begin = round_up(sizeof(*head));
	memset(head->areas, 0, sizeof(head->areas));
	head->area_count = 0;
	memset((char *)head + begin, 0, head->used - begin);
	head->used = begin;
	head->begins_empty = true;
}
