{ SPDX-License-Identifier: PostgreSQL
  who HOST PORT USER DATABASE: asks the query in $Q through sqldb. }
{$mode objfpc}
program who;
uses sysutils, sqldb, pqconnection;
var
  connection: TPQConnection;
  transaction: TSQLTransaction;
  query: TSQLQuery;
begin
  connection := TPQConnection.Create(nil);
  transaction := TSQLTransaction.Create(nil);
  query := TSQLQuery.Create(nil);
  connection.HostName := ParamStr(1);
  connection.Params.Add('port=' + ParamStr(2));
  connection.UserName := ParamStr(3);
  connection.DatabaseName := ParamStr(4);
  connection.Transaction := transaction;
  query.Database := connection;
  query.SQL.Text := GetEnvironmentVariable('Q');
  query.Open;
  writeln(query.Fields[0].AsString);
end.
