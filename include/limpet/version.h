/**
 * The version of limpet that these headers belong to.
 */
#ifndef LIMPET_VERSION_H
#define LIMPET_VERSION_H

#define LIMPET_VERSION_MAJOR 0
#define LIMPET_VERSION_MINOR 1
#define LIMPET_VERSION_PATCH 0
#define LIMPET_VERSION "0.1.0"

#endif
