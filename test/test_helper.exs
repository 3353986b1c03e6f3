# The backend of the guide is one of those that the stores are tested over.
BaileysEx.Test.Guide.define_modules("guides/custom-backends.md")

# What takes minutes, and is run by `mix test --only long`.
ExUnit.start(exclude: [:long])
