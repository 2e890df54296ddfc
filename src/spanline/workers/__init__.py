"""One live capture, several processes: each takes its share of the frames, and has whole flows.

The kernel divides what comes among the rings of a group (PACKET_FANOUT). Behind a tunnel its own hash is no use: it
knows the outer addresses, and both directions of a flow may come in different tunnels. So there is one rule of our own,
by the *inner* addresses, protocol and ports (ext/exchange.h), in two languages: C, after decapsulation, and a program
for the kernel (kernel_rule.py), for the stacks that most mirrors send. Where the kernel's program is right, nothing has
to move. Every worker decodes what its ring gives, and passes on what is another's:

    ring 0 ─▶ decode, owner? ──own──▶ by time ─▶ decode ─▶ reassemble ─▶ own rows ─▶ … stages ─▶ what is finished
                          └─others'─┐    ▲
                                    ▼    │ queues, in shared memory
    ring 1 ─▶ decode, owner? ──own──▶ by time ─▶ decode ─▶ reassemble ─▶ own rows ─▶ … stages ─▶ what is finished

What is finished goes to the same stages of the parent.

Order: a worker goes on up to the time up to which its own ring and all others have told everything (Chunk.clock). Who
tells nothing for PATIENCE holds nobody up any longer, and neither does a worker that died.

Fragments: only the first of a datagram has ports, so no rule can tell whose the others are. All workers get all of them
(a copy each, or nobody), reassemble, and keep the rows that are theirs: exactly what one process makes of them.

Loss: offered = read + dropped, over all workers. A frame for which there is no room in a queue is dropped: "queue".

Processes: workers are forked when the rings are open, so that they have what the parent has and no rights are needed
any more; nothing is pickled but results, and those only go through private pipes. The parent keeps the rings open. When
a worker dies, a new one goes on with its ring, with empty stages: what was in the dead one's tables, ring and queues is
lost, and is counted: "worker". When the parent dies its pipes close, and the workers end.
"""
