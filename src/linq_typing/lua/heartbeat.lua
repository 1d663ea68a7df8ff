-- One member: it lives. What is new for it, how many chats does it answer for, and who has been silent?
-- KEYS  members, held, news
-- ARGV  member; 'join', 'stay' or 'leave'; the id that it had before or ''; silence in ms; TTL; most news
local me, how, before, silence, ttl, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local from, to = '[' .. me .. ' ', '(' .. me .. '!'                           -- '!' comes after ' '
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = tonumber(redis.call('ZSCORE', KEYS[1], me) or -1) >= 0
local held = redis.call('ZLEXCOUNT', KEYS[2], from, to)
if how == 'leave' then
  if held == 0 then redis.call('ZREM', KEYS[1], me) else redis.call('ZADD', KEYS[1], 'XX', -1, me) end
  redis.call('ZREMRANGEBYLEX', KEYS[3], from, to)
  return {now, 0}
end
if not known and how ~= 'join' then return {now, 0} end
redis.call('ZADD', KEYS[1], now, me)
if before ~= '' then redis.call('ZADD', KEYS[1], 'XX', -1, before) end        -- dead, and to be taken over
local news = redis.call('ZRANGEBYLEX', KEYS[3], from, to, 'LIMIT', 0, limit)
if #news > 0 then redis.call('ZREM', KEYS[3], unpack(news)) end
for i, entry in ipairs(news) do news[i] = string.sub(entry, #me + 2) end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
return {now, 1, held, news,
        redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - silence, 'WITHSCORES', 'LIMIT', 0, 50)}
