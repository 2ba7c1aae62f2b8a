-- TPC-H q6: forecasting revenue change. What more would have come in without certain discounts?
--
--     millstream run queries/tpch/tables.sql queries/tpch/q6.sql

SELECT sum(l_extendedprice * l_discount) AS revenue
FROM lineitem
WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1994-01-01' + INTERVAL '1 year'
  AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24;
