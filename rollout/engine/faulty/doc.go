// Package faulty is a proxy that does to a real inference server's answers what networks and servers
// do to them: error statuses, resets before and in the middle of an answer, slow bytes, wrong
// lengths, log-probabilities that are NaN, null or too few, answers that belong to another request,
// and a replica that dies and returns. It exists for fault drills over real sockets, in tests of
// adapters and fleets; nothing else imports it.
//
// What goes wrong is decided by a [Plan], which sees every request and its number, so that a drill
// can be repeated. The proxy counts what it did; a drill checks that the client counted the same.
package faulty
