/**
 * What a worker's channel speaks.
 */
#ifndef LP_WIRE_LANGUAGE_H
#define LP_WIRE_LANGUAGE_H

/** What workers read and say. */
enum lp_language {
	LP_LANGUAGE_JSON, /**< One JSON text per line: Node. */
	LP_LANGUAGE_V8, /**< V8's values, each after its length (broker/v8frame.h): Node's `advanced` serialization. */
	LP_LANGUAGE_FRAMES, /**< wire/frame.h: native workers. */
};

#endif
