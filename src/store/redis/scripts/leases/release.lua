-- release: ends a lease.
--
-- ARGV: 1 name, 2 token, 3 the caller's node id, 4 its incarnation, 5 its presence or '', 6 ticket that it was granted by or ''
-- Returns: [now, released (1|0)]
-- Atomic, because only the holder of exactly this token may end it, and because the first waiter is notified at the same
-- moment. A second release by the same caller gets the same answer until the lease is granted again.
local name, token = ARGV[1], ARGV[2]
make_way()
load_meta()
guard_stall()
local record = name ~= 'leader' and read_record(name) or nil
local released = record ~= nil and record.term == token and is_own(record, ARGV[3], ARGV[4], ARGV[5], ARGV[6])
if released and record.holder ~= '' then
  vacate_lease(record)
end
return { int(now), released and 1 or 0 }
