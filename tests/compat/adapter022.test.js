'use strict';
/** @socket.io/cluster-adapter 0.2.2. */
require('./adapter_suite')('adapter022');
