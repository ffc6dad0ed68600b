/*
 * "limpet-preload/HASH/FAMILY/WHICH/PID.UNIQUE", in the abstract namespace: gone with the last descriptor. The hash is of
 * the door's path, which would not fit.
 */
#include "worker/placeholder.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned long long hash_of(const char *path)
{
	uint64_t hash = 14695981039346656037ull;
	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 1099511628211ull;
	return hash;
}

socklen_t lp_placeholder_name(struct sockaddr_un *name, const char *door, int family, unsigned which, unsigned unique)
{
	*name = (struct sockaddr_un){.sun_family = AF_UNIX};
	int length = snprintf(name->sun_path + 1, sizeof(name->sun_path) - 1, "limpet-preload/%016llx/%d/%u/%d.%u",
			      hash_of(door), family, which, (int)getpid(), unique);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

bool lp_placeholder_read(const struct sockaddr_un *name, socklen_t length, const char *door, int *family,
			 unsigned *which)
{
	char text[sizeof(name->sun_path)] = "";
	unsigned long long hash;
	size_t start = offsetof(struct sockaddr_un, sun_path) + 1;
	if (name->sun_family != AF_UNIX || length <= start || length > sizeof(*name) || name->sun_path[0])
		return false;
	memcpy(text, name->sun_path + 1, length - start);
	return sscanf(text, "limpet-preload/%16llx/%d/%u/", &hash, family, which) == 3 && hash == hash_of(door);
}
