/*
 * The two services of sock_diag(7), Linux 4.16 and newer.
 *
 * Asked ("dump"): a request with a port filter in the kernel's own bytecode, answered in parts. It is the older of the
 * two requests for TCP sockets, since that one lists IPv4 and IPv6 in one walk; the newer needs a walk for each. The
 * walk, in our own system calls, passes every bucket of the kernel's table, which is as large as the machine's memory
 * suggested at its start: 262,144 buckets take 6 – 14 ms. Between parts it remembers its place in a bucket as a count:
 * when sockets before that place go away meanwhile, others behind it are left out although they are open. So an answer
 * is a strong hint, no proof.
 *
 * Told: a multicast group for each family. The kernel sends one message when the last reference to a socket goes, be it
 * closed here first, there first, reset or killed; from a kernel thread, and so a moment later. A socket filter drops
 * other ports' messages before they are queued: other programs' traffic neither wakes us nor fills the queue, nor does
 * the client's end of a local connection. Subscribing needs no privilege (seen on Linux 6.18); a kernel or sandbox that
 * refuses says EPERM.
 *
 * Sockets are connected to the kernel, which keeps other processes from sending us anything.
 */
#include "worker/counts/socket_diag.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The most the kernel puts into one part. */
#define PART_SIZE 32768

/* A message waits here with its sk_buff, 1 – 2 KiB: room for some thousand connections that close at once. */
#define DESTROYED_QUEUE_BYTES (4 << 20)

/* All states that an accepted TCP socket with a descriptor can be listed in: a half-closed one is still held. */
#define TCP_STATES                                                                                                     \
	(1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT |                    \
	 1u << TCP_LAST_ACK | 1u << TCP_CLOSING)

#define UNIX_STATES (1u << TCP_ESTABLISHED)

/* "Its port is this: go on to the jump, which leaves well. Else: the next test." */
struct port_test {
	struct inet_diag_bc_op equal;
	struct inet_diag_bc_op port;
	struct inet_diag_bc_op leave;
};

struct tcp_question {
	struct nlmsghdr header;
	struct inet_diag_req request;
	struct rtattr attribute;
	struct port_test tests[LP_SOCKET_DIAG_PORTS];
};

struct unix_question {
	struct nlmsghdr header;
	struct unix_diag_req request;
};

/* What of a destroyed socket's message is of interest; the rest, its statistics, is cut off. */
struct destroyed {
	struct nlmsghdr header;
	struct inet_diag_msg socket;
};

static bool all_ports(const struct lp_socket_diag_ports *ports)
{
	return ports->count > LP_SOCKET_DIAG_PORTS;
}

bool lp_socket_diag_add_port(struct lp_socket_diag_ports *ports, uint16_t port)
{
	if (all_ports(ports))
		return false;
	for (unsigned i = 0; i < ports->count; i++)
		if (ports->ports[i] == port)
			return false;
	if (ports->count < LP_SOCKET_DIAG_PORTS)
		ports->ports[ports->count] = port;
	ports->count++;
	return true;
}

int lp_socket_diag_cookie(int fd, uint64_t *cookie)
{
	socklen_t size = sizeof(*cookie);
	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &size) ? -errno : 0;
}

static int open_netlink(uint32_t groups)
{
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_groups = groups};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) || connect(fd, (struct sockaddr *)&kernel, sizeof(kernel))) {
		int status = -errno;
		close(fd);
		return status;
	}
	return fd;
}

/* Append the port filter to a question. Past the last test with "no", past the end by one: not wanted. */
static void write_port_tests(struct tcp_question *question, const struct lp_socket_diag_ports *ports)
{
	unsigned count = ports->count;
	question->attribute.rta_type = INET_DIAG_REQ_BYTECODE;
	question->attribute.rta_len = (unsigned short)RTA_LENGTH(count * sizeof(struct port_test));
	for (unsigned i = 0; i < count; i++) {
		struct port_test *test = &question->tests[i];
		size_t rest = (count - 1 - i) * sizeof(*test);
		size_t miss = rest ? sizeof(*test) : sizeof(*test) + sizeof(struct inet_diag_bc_op);
		test->equal = (struct inet_diag_bc_op){.code = INET_DIAG_BC_S_EQ,
						       .yes = sizeof(test->equal) + sizeof(test->port),
						       .no = (unsigned short)miss};
		test->port.no = ports->ports[i];
		test->leave = (struct inet_diag_bc_op){.code = INET_DIAG_BC_JMP,
						       .yes = sizeof(test->leave),
						       .no = (unsigned short)(sizeof(test->leave) + rest)};
	}
	question->header.nlmsg_len += question->attribute.rta_len;
}

static int send_question(int fd, struct nlmsghdr *header)
{
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	return send(fd, header, header->nlmsg_len, MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int ask_for_tcp(int fd, uint32_t states, const struct lp_socket_diag_ports *ports)
{
	struct tcp_question question = {
		.header = {.nlmsg_len = offsetof(struct tcp_question, attribute), .nlmsg_type = TCPDIAG_GETSOCK},
		.request.idiag_states = states};
	if (ports->count && !all_ports(ports))
		write_port_tests(&question, ports);
	return send_question(fd, &question.header);
}

static int ask_for_unix(int fd, uint32_t states)
{
	struct unix_question question = {.header = {.nlmsg_len = sizeof(question), .nlmsg_type = SOCK_DIAG_BY_FAMILY},
					 .request = {.sdiag_family = AF_UNIX, .udiag_states = states}};
	return send_question(fd, &question.header);
}

static uint64_t cookie_of(const __u32 *halves)
{
	return halves[0] | (uint64_t)halves[1] << 32;
}

static int append_cookie(struct lp_socket_diag_list *list, uint64_t cookie, bool held)
{
	if (list->length == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 256;
		struct lp_socket_diag_listed *grown = realloc(list->sockets, capacity * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		list->sockets = grown;
		list->capacity = capacity;
	}
	list->sockets[list->length++] = (struct lp_socket_diag_listed){.cookie = cookie, .held = held};
	return 0;
}

/* One message of an answer: 0 to go on, 1 for the last, or negative errno. */
static int read_listed(const struct nlmsghdr *header, struct lp_socket_diag_list *list)
{
	const struct inet_diag_msg *tcp = NLMSG_DATA(header);
	const struct unix_diag_msg *local = NLMSG_DATA(header);
	const int *error = NLMSG_DATA(header); /* Negative, or 0 and so no error. */
	switch (header->nlmsg_type) {
	case NLMSG_DONE:
	case NLMSG_ERROR:
		return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)) && *error < 0 ? *error : 1;
	case TCPDIAG_GETSOCK:
		if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*tcp)))
			return -EPROTO;
		return append_cookie(list, cookie_of(tcp->id.idiag_cookie), tcp->idiag_inode != 0);
	case SOCK_DIAG_BY_FAMILY:
		if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*local)))
			return -EPROTO;
		return append_cookie(list, cookie_of(local->udiag_cookie), true);
	default:
		return 0;
	}
}

/* One part of an answer. It is there already: the kernel made it when asked, or when the part before was read. */
static int read_part(int fd, struct lp_socket_diag_list *list)
{
	union {
		struct nlmsghdr first;
		char bytes[PART_SIZE];
	} part;
	ssize_t got = recv(fd, &part, sizeof(part), MSG_DONTWAIT | MSG_TRUNC);
	if (got < 0)
		return -errno;
	if ((size_t)got > sizeof(part))
		return -EMSGSIZE;
	size_t left = (size_t)got;
	int status = 0;
	for (struct nlmsghdr *header = &part.first; status == 0 && NLMSG_OK(header, left);
	     header = NLMSG_NEXT(header, left))
		status = read_listed(header, list);
	return status;
}

/* A question and its whole answer. The descriptor is new each time: what is left of a failed answer goes with it. */
static int ask_kernel(enum lp_socket_kind kind, bool nothing, const struct lp_socket_diag_ports *ports,
		      struct lp_socket_diag_list *list)
{
	int fd = open_netlink(0);
	if (fd < 0)
		return fd;
	int status = kind == LP_SOCKET_TCP ? ask_for_tcp(fd, nothing ? 0 : TCP_STATES, ports)
					   : ask_for_unix(fd, nothing ? 0 : UNIX_STATES);
	while (status == 0)
		status = read_part(fd, list);
	close(fd);
	return status < 0 ? status : 0;
}

int lp_socket_diag_list(enum lp_socket_kind kind, const struct lp_socket_diag_ports *ports,
			struct lp_socket_diag_list *list)
{
	return ask_kernel(kind, false, ports, list);
}

int lp_socket_diag_probe(enum lp_socket_kind kind)
{
	/* Sockets in no state at all: nothing is walked, nothing listed. */
	struct lp_socket_diag_list none = {0};
	int status = ask_kernel(kind, true, &(struct lp_socket_diag_ports){0}, &none);
	free(none.sockets);
	return status;
}

int lp_socket_diag_open_destroyed(void)
{
	int fd = open_netlink(1u << (SKNLGRP_INET_TCP_DESTROY - 1) | 1u << (SKNLGRP_INET6_TCP_DESTROY - 1));
	if (fd < 0)
		return fd;
	int bytes = DESTROYED_QUEUE_BYTES;
	/* Without privilege up to net.core.rmem_max. A queue too short overflows sooner, which costs lists, no more. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	return fd;
}

static void detach_filter(int fd)
{
	int ignored = 0; /* But the kernel refuses to do without. */
	setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof(ignored));
}

void lp_socket_diag_narrow_destroyed(int fd, const struct lp_socket_diag_ports *ports)
{
	struct sock_filter code[2 * LP_SOCKET_DIAG_PORTS + 2];
	unsigned short length = 0;
	const unsigned where = offsetof(struct destroyed, socket.id.idiag_sport);
	if (all_ports(ports)) {
		detach_filter(fd);
		return;
	}
	code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, where);
	for (unsigned i = 0; i < ports->count; i++) {
		code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ports->ports[i], 0, 1);
		code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	}
	code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {.len = length, .filter = code};
	/* One that cannot be set leaves the one before, which may be too narrow: then rather none. */
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		detach_filter(fd);
}

int lp_socket_diag_read_destroyed(int fd, uint64_t *cookies)
{
	struct destroyed messages[LP_SOCKET_DIAG_BATCH];
	struct iovec parts[LP_SOCKET_DIAG_BATCH];
	struct mmsghdr heads[LP_SOCKET_DIAG_BATCH];
	for (int i = 0; i < LP_SOCKET_DIAG_BATCH; i++) {
		parts[i] = (struct iovec){.iov_base = &messages[i], .iov_len = sizeof(messages[i])};
		heads[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
	}
	int got = recvmmsg(fd, heads, LP_SOCKET_DIAG_BATCH, MSG_DONTWAIT, NULL);
	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (int i = 0; i < got; i++)
		cookies[i] = heads[i].msg_len < sizeof(messages[i]) ? 0 : cookie_of(messages[i].socket.id.idiag_cookie);
	return got;
}
