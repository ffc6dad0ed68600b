'use strict';
/** @socket.io/cluster-adapter 0.3.0. */
require('./adapter_suite')('adapter030');
