// The ubus object luci.srv6pipes: what the daemon's control socket says (src/control/proto.rs), and
// what `srv6pipes doctor` finds. Whatever goes wrong is an answer, too: { error: "…" }.
//
// rpcd serves one call at a time, for all of LuCI, so nothing here may wait for long.

'use strict';

import { cursor } from 'uci';
import { readfile, unlink } from 'fs';
import * as socket from 'socket';

const PROGRAM = '/usr/sbin/srv6pipes';
const DOCTOR = '/var/run/srv6pipes-doctor.json';
// The default of option control_socket.
const CONTROL_SOCKET = '/var/run/srv6pipes.sock';
// Seconds. A reload loads modules.
const SOON = 5;
const RELOAD = 20;
// A message on ubus holds 1 MiB (UBUS_MAX_MSGLEN); a flow needs some 300 bytes of it.
const MOST_FLOWS = 1000;

function parsed(text, whose) {
	try {
		return json(text);
	}
	catch (e) {
		return { error: `${whose} is no JSON: ${e.message}` };
	}
}

function ask(word, seconds) {
	let path = cursor()?.get('srv6pipes', 'main', 'control_socket') ?? CONTROL_SOCKET;
	let sock = socket.create(socket.AF_UNIX, socket.SOCK_STREAM);

	if (!sock)
		return { error: `make a socket: ${socket.error()}` };

	for (let option in [ socket.SO_RCVTIMEO, socket.SO_SNDTIMEO ])
		if (!sock.setopt(socket.SOL_SOCKET, option, { sec: seconds, usec: 0 }))
			return { error: `set a time limit for the socket: ${socket.error()}` };

	if (!sock.connect({ path }))
		return { error: `srv6pipes does not run: nobody answers at ${path} (${socket.error()})` };

	let silent = { error: `srv6pipes at ${path} does not answer ${word} within ${seconds} s` };
	let end = time() + seconds;
	let text = sock.send(`${word}\n`) ? '' : null;

	while (text != null) {
		let piece = sock.recv(65536);

		if (piece == '')
			break;

		text = (piece == null || time() > end) ? null : text + piece;
	}

	sock.close();

	return (text == null) ? silent : parsed(text, `the answer of srv6pipes at ${path}`);
}

function flows(limit) {
	let answer = ask('flows', SOON);

	if (type(answer.flows) != 'array')
		return answer;

	return {
		total: length(answer.flows),
		flows: slice(answer.flows, 0, max(0, min(limit ?? MOST_FLOWS, MOST_FLOWS)))
	};
}

function doctor() {
	// Its exit code says whether something is missing, as the document does.
	let code = system(`exec ${PROGRAM} doctor --json >${DOCTOR} 2>/dev/null`, SOON * 1000);
	let text = readfile(DOCTOR);

	unlink(DOCTOR);

	if (code < 0)
		return { error: `${PROGRAM} doctor does not end within ${SOON} s` };

	if (code > 1)
		return { error: `${PROGRAM} doctor ends with ${code}` };

	return parsed(text, `what ${PROGRAM} doctor says`);
}

return {
	'luci.srv6pipes': {
		status: {
			call: function() {
				return ask('status', SOON);
			}
		},

		flows: {
			args: { limit: 0 },
			call: function(request) {
				return flows(request.args?.limit);
			}
		},

		doctor: {
			call: function() {
				return doctor();
			}
		},

		reload: {
			call: function() {
				return ask('reload', RELOAD);
			}
		}
	}
};
