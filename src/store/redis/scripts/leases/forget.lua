-- forget: removes a waiter from the queue.
--
-- ARGV: name, ticket
-- Returns: [now, waited (1|0)]
-- Atomic, because its reservation, or its watch over the holder's presence, must pass to the next waiter at once.
local name, ticket = ARGV.name, ARGV.ticket
make_way()
load_meta()
guard_stall()
return { int(now), give_up(name, ticket) and 1 or 0 }
