/**
 * A scene as a command line asks for it: what `limpet check` and `limpet route` share.
 */
#ifndef LP_TOOLS_STAGE_H
#define LP_TOOLS_STAGE_H

#include "base/error.h"
#include "base/options.h"
#include "route/scene.h"

/**
 * Begin a scene anew, with the --set, --trust and --session of a command line.
 *
 * @param scene    Initialised. Borrows the command line's settings.
 * @param line     Parsed. Borrowed as long as the scene is used.
 * @param workers  0 – LP_SCENE_WORKERS_MAX.
 * @param error    Filled on failure.
 *
 * @return 0, -EINVAL or -ENOMEM.
 */
int lp_stage_set(struct lp_scene *scene, const struct lp_command_line *line, unsigned workers, struct lp_error *error);

#endif
