/*
 * In this order: sockets are given away while we still can; then root is left for good; then it is tried whether a
 * reload would find its files.
 */
#include "server/give_up_root.h"

#include <stdbool.h>
#include <unistd.h>

#include "base/privileges.h"
#include "base/run_folder.h"

/* Who is not root can give nothing away, and will not become that user. */
int lp_make_run_folder(const struct lp_data *data, char *folder, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	bool becomes = options->user && geteuid() == 0;
	struct lp_user user;
	*folder = '\0';
	if (!data->dialect->registers)
		return 0;
	int status = becomes ? lp_user_find(options->user, &user, error) : 0;
	return status ? status
		      : lp_run_folder_make_for(folder, options->preload_dir, becomes ? &user : NULL, "--preload-dir",
					       error);
}

/* Unless --listen says whose it is. */
static int give_listener(const struct lp_listener *listener, const struct lp_user *user, struct lp_error *error)
{
	const struct lp_socket_access *access = &listener->address.access;
	struct lp_user owner = *user;
	if (!listener->unix_path.inode || access->has_user)
		return 0;
	if (access->has_group)
		owner.gid = access->group;
	return lp_user_own_socket(&owner, listener->address.socket.un.sun_path, error);
}

int lp_give_up_root(struct lp_data *data, const struct lp_listener *listeners, size_t count, const char *control,
		    struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	struct lp_user user;
	if (!options->user)
		return 0;
	int status = lp_user_find(options->user, &user, error);
	for (size_t i = 0; !status && i < count; i++)
		status = give_listener(&listeners[i], &user, error);
	if (!status && control && geteuid() == 0) /* Else it is said below that only root can do this. */
		status = lp_user_own_socket(&user, control, error);
	if (!status)
		status = lp_user_become(&user, error);
	if (status)
		return status;
	if (lp_data_can_reload(data, error)) {
		struct lp_error why = *error;
		return lp_error_set(error, why.code, "as user %s, whom --user names: %s; let that user read it",
				    user.text, why.text);
	}
	lp_log_write(&data->log, LP_LOG_INFO, NULL, "running as user %s (%u:%u)", user.text, (unsigned)user.uid,
		     (unsigned)user.gid);
	return 0;
}
