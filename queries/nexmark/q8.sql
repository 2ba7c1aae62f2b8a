-- Nexmark q8: monitor new users. Who began to sell within the ten seconds in which they came?
--
--     millstream run queries/nexmark/q8.sql

CREATE STREAM person (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'person', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);
CREATE STREAM auction (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'auction', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT p.id, p.name, p.starttime
FROM (
  SELECT id, name, window_start AS starttime, window_end AS endtime
  FROM TUMBLE(person, date_time, INTERVAL '10 seconds')
  GROUP BY id, name, window_start, window_end
) AS p
JOIN (
  SELECT seller, window_start AS starttime, window_end AS endtime
  FROM TUMBLE(auction, date_time, INTERVAL '10 seconds')
  GROUP BY seller, window_start, window_end
) AS a
ON p.id = a.seller AND p.starttime = a.starttime AND p.endtime = a.endtime;
