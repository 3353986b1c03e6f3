defmodule BaileysEx.Auth.PostgresDriverAnswersTest do
  # Postgrex's observed answers, through Ecto, when it fails to do what it is asked.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{DatabaseError, PostgresPersistence, State}

  @secret "a secret of the user"

  defmodule Repo do
    @moduledoc false
    def query(_sql, _params, opts) do
      # A log and a handler of Ecto's event would receive the parameters.
      [log: false, telemetry_event: nil, cache_statement: "baileys_ex_auth_" <> _hash] = opts
      Process.get(:answer).()
    end
  end

  defp kind(answer) do
    Process.put(:answer, answer)
    account = [repo: Repo, account: "ada"]
    assert {:error, error} = PostgresPersistence.save_keys(account, :"lid-mapping", "1", @secret)
    assert %DatabaseError{kind: kind, code: code} = error
    refute inspect(error) =~ @secret
    refute Exception.message(error) =~ @secret
    {kind, code}
  end

  defp exception(module, message),
    do: %{__struct__: module, __exception__: true, message: message <> @secret}

  defp raising(exception), do: fn -> :erlang.error(exception) end

  test "an error of the server is told by its code alone" do
    error = %{
      __struct__: Postgrex.Error,
      postgres: %{code: :not_null_violation, pg_code: "23502", detail: "contains (#{@secret})"}
    }

    assert kind(fn -> {:error, error} end) == {:refused, "23502"}
  end

  test "no connection is the server's or the pool's absence, which may end" do
    closed = exception(DBConnection.ConnectionError, "tcp recv: closed")
    assert kind(fn -> {:error, closed} end) == {:unavailable, nil}
    assert kind(raising(closed)) == {:unavailable, nil}

    assert kind(fn -> exit({:noproc, {DBConnection.Holder, :checkout, []}}) end) ==
             {:unavailable, nil}
  end

  test "a repository that is not running counts as unreachable" do
    message = "could not lookup Ecto repo MyApp.Repo because it was not started"
    assert kind(raising(%RuntimeError{message: message})) == {:unavailable, nil}
    assert kind(raising(%RuntimeError{message: @secret})) == {:refused, nil}
  end

  test "a transaction that was rolled back inside is to be rolled back, and not to be tried again" do
    # Only this exact message counts.
    error = %{__struct__: DBConnection.ConnectionError, message: "transaction rolling back"}
    assert kind(fn -> {:error, error} end) == {:aborted, "25P02"}
    refute DatabaseError.transient?(%DatabaseError{place: "", kind: :aborted})
  end

  test "a process without a connection of Ecto's sandbox is told so, at once" do
    error = exception(DBConnection.OwnershipError, "cannot find ownership process for ")
    assert kind(raising(error)) == {:not_allowed, nil}
    error = %DatabaseError{place: "account ada in PostgreSQL", kind: :not_allowed}
    assert Exception.message(error) =~ "Ecto's sandbox"
    refute DatabaseError.transient?(error)
  end

  test "a value that the driver cannot encode is not shown" do
    assert kind(raising(exception(DBConnection.EncodeError, "expected a binary, got "))) ==
             {:refused, nil}
  end

  defmodule OddDriver do
    @moduledoc false
    @behaviour BaileysEx.Auth.Postgres.Connection
    @impl true
    def query(answer, _sql, _params), do: answer
  end

  test "what is no answer is never taken for an account or a key that is not there" do
    bytes = :erlang.term_to_binary(State.new())

    for answer <- [
          # As drivers have rows that were written for something else.
          {:ok, [{bytes}]},
          {:ok, [%{"creds" => bytes}]},
          {:ok, [[{:bytea, bytes}]]},
          {:ok, [[bytes, 1]]},
          {:ok, {"SELECT", [[bytes]]}},
          {:ok, nil},
          {:error, %{detail: @secret}},
          :ok,
          [[bytes]]
        ] do
      account = [connection: {OddDriver, answer}, account: "ada"]
      loaded = PostgresPersistence.load_credentials(account)
      assert {:error, %DatabaseError{kind: :bad_answer} = error} = loaded, inspect(answer)
      assert Exception.message(error) =~ "Postgres.Connection"
      refute DatabaseError.transient?(error)
      assert {:error, _} = PostgresPersistence.use_postgres_auth_state(account)
    end

    for answer <- [{:ok, [{"1", bytes}]}, {:ok, nil}, :ok] do
      account = [connection: {OddDriver, answer}, account: "ada"]

      for result <- [
            PostgresPersistence.load_keys(account, :session, "1"),
            PostgresPersistence.load_many(account, :session, ["1"]),
            PostgresPersistence.list_keys(account),
            PostgresPersistence.save_keys(account, :session, "1", "x"),
            PostgresPersistence.owner(account)
          ],
          do: assert({:error, %DatabaseError{kind: :bad_answer}} = result)
    end

    account = [connection: {OddDriver, {:error, :something_else}}, account: "ada"]
    assert {:error, %DatabaseError{kind: :refused}} = PostgresPersistence.list_keys(account)
  end
end
