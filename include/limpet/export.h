/**
 * Which names the libraries show: everything else stays inside them.
 */
#ifndef LIMPET_EXPORT_H
#define LIMPET_EXPORT_H

#if defined(__GNUC__)
#define LIMPET_EXPORT __attribute__((visibility("default")))
#else
#define LIMPET_EXPORT
#endif

#endif
