defmodule BaileysEx.Auth.Deletion do
  @moduledoc false
  # Deletes an account: one commit removes everything, under its own claim. The current owner is fenced, and
  # so does not write the account back.

  alias BaileysEx.Auth.{Claims, NotOwnerError, Owner}

  @doc "Runs `delete` under a claim of this VM."
  @spec run(module(), context :: term(), (() -> :ok | {:error, term()})) :: :ok | {:error, term()}
  def run(module, context, delete) do
    owner = Owner.new()

    with :ok <- module.claim(context, owner) do
      # Otherwise a store of this VM would go on writing under this claim, and after it.
      lost = %NotOwnerError{place: module.place_name(context), owner: owner}
      Claims.lost(module.place(context), lost)
      deleted = delete.()
      released = module.release(context, owner)
      with :ok <- deleted, do: released
    end
  end
end
