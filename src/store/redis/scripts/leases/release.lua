-- release: ends a lease.
--
-- ARGV: name, token, the caller's node id, its incarnation, its presence or '', ticket that it was granted by or ''
-- Returns: [now, released (1|0)]
-- Atomic, because only the holder of exactly this token may end it, and because the first waiter is notified at the same
-- moment. A second release by the same caller gets the same answer until the lease is granted again.
local name, token = ARGV.name, ARGV.token
make_way()
load_meta()
guard_stall()
local record = name ~= 'leader' and read_record(name) or nil
local released = record ~= nil and record.term == token and is_own(record, ARGV.node_id, ARGV.incarnation, ARGV.presence, ARGV.ticket)
if released and record.holder ~= '' then
  vacate_lease(record)
end
return { int(now), released and 1 or 0 }
