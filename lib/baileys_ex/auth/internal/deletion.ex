defmodule BaileysEx.Auth.Deletion do
  @moduledoc false
  # What ends an account: everything goes by one commit, under a claim of its own. Whoever has the account is
  # fenced, and does not write it back.

  alias BaileysEx.Auth.{Claims, NotOwnerError, Owner}

  @doc "Runs `delete` under a claim of this VM."
  @spec run(module(), context :: term(), (() -> :ok | {:error, term()})) :: :ok | {:error, term()}
  def run(module, context, delete) do
    owner = Owner.new()

    with :ok <- module.claim(context, owner) do
      # A store of this VM would go on under this claim, and after it.
      lost = %NotOwnerError{place: module.place_name(context), owner: owner}
      Claims.lost(module.place(context), lost)
      deleted = delete.()
      released = module.release(context, owner)
      with :ok <- deleted, do: released
    end
  end
end
