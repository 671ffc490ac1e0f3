-- release: gives a lease up.
--
-- ARGV: name, token, the caller's node id, its incarnation, its presence or '', ticket that it was granted by or ''
-- Returns: [now, released (1|0)]
-- Atomic, because only the holder of exactly this token may vacate it, and because the first waiter is called in the same
-- moment. A second release by the same caller is answered alike as long as nobody was granted the lease since.
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
