-- schedule_pause: pauses a schedule, or lets it go on.
--
-- ARGV: id, version that the caller has read, paused (1|0), next slot (server time) or 0
-- Returns: [outcome ('stored'|'changed')]
-- Atomic, because the next slot belongs to the version that the caller has read.
local id = ARGV.id
load_meta()
local key, version = schedule_type(id)
if version ~= ARGV.version then
  return { 'changed' }
end
call('HMSET', key, 'paused', ARGV.paused, 'next', ARGV.paused == '1' and '0' or ARGV.next)
enter_slot(id, ARGV.next, ARGV.paused == '1')
return { 'stored' }
