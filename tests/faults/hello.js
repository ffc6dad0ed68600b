'use strict';
/**
 * ClientHellos, put together byte by byte, so that each part of one can be wrong.
 */
const number = (value, width) => {
	const bytes = Buffer.alloc(width);
	bytes.writeUIntBE(value, 0, width);
	return bytes;
};

/** A field that begins with its length, a number of that width; `lie` is added to it. */
const field = (width, bytes, lie = 0) => Buffer.concat([number(bytes.length + lie, width), bytes]);

const extension = (type, bytes, lie) => Buffer.concat([number(type, 2), field(2, bytes, lie)]);

/** server_name; lies are about the lengths of the name, the list and the extension, and `tail` is behind the list. */
function sni(name, { nameLie, listLie, extensionLie, tail = [] } = {}) {
	const entry = Buffer.concat([Buffer.of(0), field(2, Buffer.from(name, 'latin1'), nameLie)]);
	return extension(0, Buffer.concat([field(2, entry, listLie), Buffer.from(tail)]), extensionLie);
}

/** encrypted_client_hello, as it looks from outside. */
const ech = () => extension(0xfe0d, Buffer.concat([
	Buffer.of(0, 0, 1, 0, 1, 7),
	field(2, Buffer.alloc(32, 7)),
	field(2, Buffer.alloc(144, 9)),
]));

/** A hello with these extensions; lies are about the lengths of them all and of the message, and `tail` is behind them. */
function hello(extensions, { extensionsLie, bodyLie, tail = [] } = {}) {
	const body = Buffer.concat([
		Buffer.of(3, 3),
		Buffer.alloc(32, 5),
		field(1, Buffer.alloc(32, 6)),
		field(2, Buffer.of(0x13, 1, 0x13, 2)),
		field(1, Buffer.of(0)),
		field(2, Buffer.concat(extensions), extensionsLie),
		Buffer.from(tail),
	]);
	const message = Buffer.concat([Buffer.of(1), field(3, body, bodyLie)]);
	return Buffer.concat([Buffer.of(22, 3, 1), field(2, message)]);
}

module.exports = { ech, hello, sni };
