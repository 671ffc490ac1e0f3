-- forget: a waiter gives up.
--
-- ARGV: name, ticket
-- Returns: [now, waited (1|0)]
-- Atomic, because what was kept for it, or its watch over a holder's presence, must go to the next one at once.
local name, ticket = ARGV.name, ARGV.ticket
make_way()
load_meta()
guard_stall()
return { int(now), give_up(name, ticket) and 1 or 0 }
