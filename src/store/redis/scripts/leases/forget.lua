-- forget: removes a waiter from the queue.
--
-- ARGV: 1 name, 2 ticket
-- Returns: [now, waited (1|0)]
-- Atomic, because its reservation, or its watch over the holder's presence, must pass to the next waiter at once.
local name, ticket = ARGV[1], ARGV[2]
make_way()
load_meta()
guard_stall()
return { int(now), give_up(name, ticket) and 1 or 0 }
