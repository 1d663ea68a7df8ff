-- A dead member: take over some of the chats that it answered for; call again while as many come as the limit.
-- The score, its last heartbeat, tells whether it is still as dead as it was; -1: somebody has begun to take over.
-- KEYS  members, held, news
-- ARGV  member, dead member, score, limit
local me, dead, seen, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local mine, score = redis.call('ZSCORE', KEYS[1], me), redis.call('ZSCORE', KEYS[1], dead)
if not mine or tonumber(mine) < 0 or not score or (tonumber(score) >= 0 and score ~= seen) then return {} end
redis.call('ZADD', KEYS[1], -1, dead)
local from, to = '[' .. dead .. ' ', '(' .. dead .. '!'
local chats = redis.call('ZRANGEBYLEX', KEYS[2], from, to, 'LIMIT', 0, limit)
for i, entry in ipairs(chats) do
  chats[i] = string.sub(entry, #dead + 2)
  redis.call('ZREM', KEYS[2], entry)
  redis.call('ZADD', KEYS[2], 0, me .. ' ' .. chats[i])
end
if #chats < tonumber(limit) then
  redis.call('ZREM', KEYS[1], dead)
  redis.call('ZREMRANGEBYLEX', KEYS[3], from, to)
end
return chats
