-- release: gives a lease up.
--
-- ARGV: 1 name, 2 token
-- Returns: [now, released (1|0)]
-- Atomic, because only the holder of exactly this token may vacate it, and because the first waiter is called in the same
-- moment. A second release of the token is answered alike as long as nobody was granted the lease since.
local name, token = ARGV[1], ARGV[2]
make_way()
load_meta()
guard_stall()
local record = name ~= 'leader' and read_record(name) or nil
local released = record ~= nil and record.term == token
if released and record.holder ~= '' then
  vacate_lease(record)
end
return { int(now), released and 1 or 0 }
